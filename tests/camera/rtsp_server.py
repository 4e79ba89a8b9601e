# mypy: ignore-errors
"""An RTSP server on loopback, run by the system's Python with Debian's gir1.2-gst-rtsp-server-1.0: PORT, a pipeline
that ends in an element `pay0`, and `user:password` where one is asked for. It ends with its stdin."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(port, pipeline, login=""):
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline)
    factory.set_shared(True)
    if login:
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        guard = GstRtspServer.RTSPAuth()
        guard.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":")), token)
        server.set_auth(guard)
        allowed = GstRtspServer.RTSPPermissions()
        allowed.add_role("viewer")
        allowed.add_permission_for_role("viewer", "media.factory.access", True)
        allowed.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(allowed)
    server.get_mount_points().add_factory("/stream", factory)
    server.attach(None)
    print("ready", flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(GLib.IOChannel.unix_new(0), GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
    loop.run()


main(*sys.argv[1:])

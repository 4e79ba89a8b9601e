"""Telling others: answers for Home Assistant by MQTT, numbers for Prometheus."""

"""The style of the report's page, light and dark, from 320 pixels wide on."""

from __future__ import annotations

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""No script may run and nothing is fetched."""
STYLE = """
:root{color-scheme:light dark;--ink:#1d2329;--soft:#59636e;--line:#d5dbe1;--page:#fff;--panel:#f5f7f9;
--before:#9aa5b1;--after:#1f6fb2;--third:#b4611a}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa5b1;--line:#39424c;--page:#14181c;--panel:#1d2329;
--before:#6b7683;--after:#5aa9e6;--third:#e09a55}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem 1rem 3rem;max-width:46rem;
background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.note{color:var(--soft);margin:.3rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
td{white-space:nowrap}
th{color:var(--soft);font-weight:600;font-size:.85rem}
th.text,td.text{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:6rem}
.matrix th:not(.text){writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;vertical-align:middle}
.matrix td,.matrix th{padding:.2rem .3rem}.matrix td.text{white-space:nowrap}
@media(max-width:30rem){table{font-size:.85rem}th,td{padding:.3rem .25rem}}
figure{margin:.8rem 0;background:var(--panel);border-radius:.5rem;padding:.6rem}
figure svg{display:block;width:100%;max-width:34rem;height:auto;margin:auto}
figure svg text{font-family:system-ui,sans-serif!important}
figcaption{color:var(--soft);font-size:.85rem}
code{font-size:.9em;background:var(--panel);padding:.1em .3em;border-radius:.2em}
"""
"""What every page of ours has, also the evaluation's."""
LABELS_STYLE = """
summary{cursor:pointer}
code{overflow-wrap:anywhere}
td.text,th.text{min-width:0}
.lead{font-size:1.1rem;margin:.6rem 0}
.label{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0;background:var(--panel)}
.label summary{display:grid;grid-template-columns:minmax(0,11rem) 8rem minmax(0,1fr);gap:.1rem .8rem;
align-items:center;padding:.5rem .8rem;list-style:none}
.label summary::-webkit-details-marker{display:none}
.label[open]>summary{grid-template-columns:minmax(0,1fr) auto}.label[open]>summary>.bar{display:none}
p{margin:.3rem 0}
.name{font-weight:600;overflow-wrap:anywhere}
.name::before{content:"▸";display:inline-block;width:1rem;color:var(--soft);font-weight:400}
.label[open] .name::before{content:"▾"}
.verdict{font-size:.9rem}.verdict.good{color:var(--soft)}.verdict.poor{color:var(--third);font-weight:600}
.none{color:var(--soft);font-size:.9rem}
.bar{display:grid;grid-template-columns:minmax(0,1fr) 4.8rem;gap:.5rem;align-items:center}
.track{display:block;height:.8rem;background:var(--line);border-left:3px solid var(--ink);border-radius:0 .2rem .2rem 0;
overflow:hidden}
.now,.before{display:block;height:100%}.now{background:var(--after)}.before{background:var(--before)}
.number{font-variant-numeric:tabular-nums;font-size:.9rem;white-space:nowrap;text-align:right}
.inside{padding:.1rem .8rem .7rem 1.8rem}.inside p{margin:.4rem 0 0}
.pair{display:grid;grid-template-columns:4rem minmax(0,1fr);gap:.25rem .5rem;align-items:center}
.when{color:var(--soft);font-size:.9rem}
.next{font-weight:600}
.more>summary{padding:.5rem 0}
.fold>summary{color:var(--soft);padding:.3rem 0}
@media(max-width:34rem){.label summary{grid-template-columns:minmax(0,1fr) auto}
.label summary .bar,.label summary .none{grid-column:1/-1}
.inside{padding-left:.8rem}.pair{grid-template-columns:3.2rem minmax(0,1fr)}}
"""
"""What the page of labels has beside it."""

"""How the page of an explanation looks. Everything is below `.sx`, so that notebooks stay alone."""

KINDS = ("gemm", "map", "rows", "columns", "blocks", "serial", "permutation", "Python")

CSS = """
.sx { --bg:#ffffff; --fg:#1b1f24; --soft:#57606a; --line:#d8dee4; --panel:#f6f8fa; --link:#0550ae;
  --heat:#bf8700; --word:#8250df; --number:#0550ae; --call:#953800; --mark:#fff3bf;
  --gemm:#0969da; --map:#1a7f37; --rows:#bc4c00; --columns:#8250df; --blocks:#0e7490;
  --serial:#cf222e; --permutation:#57606a; --python:#a40e7c;
  background:var(--bg); color:var(--fg); color-scheme:light; padding:0 1.25rem 3rem;
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif; }
@media (prefers-color-scheme: dark) { .sx { --bg:#0f1419; --fg:#e6edf3; --soft:#a0aab5;
  --line:#30363d; --panel:#171d25; --link:#79b8ff; --heat:#d29922; --word:#d2a8ff;
  --number:#79c0ff; --call:#ffa657; --mark:#3b3413;
  --gemm:#58a6ff; --map:#56d364; --rows:#f0883e; --columns:#bc8cff; --blocks:#39c5cf;
  --serial:#ff7b72; --permutation:#a0aab5; --python:#f778ba; color-scheme:dark; } }
.sx * { box-sizing:border-box; }
.sx-body { max-width:1120px; margin:0 auto; }
.sx h1 { font-size:1.6rem; line-height:1.25; margin:1.6rem 0 .3rem; font-weight:650; }
.sx h2 { font-size:1.22rem; margin:2.6rem 0 .3rem; padding-top:.4rem; font-weight:650; }
.sx h3 { font-size:1rem; margin:1.3rem 0 .3rem; font-weight:650; }
.sx p { margin:.3rem 0 .7rem; max-width:76ch; }
.sx .soft, .sx .lead { color:var(--soft); }
.sx a { color:var(--link); text-decoration:none; }
.sx a:hover { text-decoration:underline; }
.sx code, .sx pre { font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",
  "Liberation Mono",monospace; }
.sx pre { background:var(--panel); border:1px solid var(--line); border-radius:6px; margin:.5rem 0;
  padding:.7rem .9rem; overflow-x:auto; line-height:1.42; max-height:36rem; }
.sx nav { position:sticky; top:0; z-index:2; background:var(--bg); padding:.5rem 0;
  border-bottom:1px solid var(--line); display:flex; flex-wrap:wrap; gap:.2rem 1.1rem; }
.sx .flow { display:grid; grid-template-columns:repeat(auto-fit,minmax(8rem,1fr)); gap:.6rem 1.6rem;
  margin:.9rem 0 .4rem; padding:0; list-style:none; }
.sx .flow li { position:relative; border:1px solid var(--line); border-radius:8px;
  background:var(--panel); padding:.5rem .8rem .55rem; margin:0; }
.sx .flow li + li::before { content:"\\2192"; position:absolute; left:-1.33rem; top:50%;
  translate:0 -50%; color:var(--soft); }
.sx .flow a { display:block; color:inherit; }
.sx .flow b { display:block; font-size:1.12rem; font-weight:650; }
.sx .flow small { color:var(--soft); font-size:.84rem; line-height:1.3; display:block; }
.sx dl.facts { display:grid; grid-template-columns:max-content 1fr; gap:.1rem 1rem;
  margin:.6rem 0; }
.sx dl.facts dt { color:var(--soft); } .sx dl.facts dd { margin:0; overflow-wrap:anywhere; }
.sx .chip { display:inline-block; min-width:1.75rem; text-align:center; padding:0 .35rem;
  border:1px solid var(--kind,var(--line)); border-radius:5px; color:var(--fg) !important;
  background:color-mix(in srgb,var(--kind,var(--line)) 16%,transparent);
  font:12.5px/1.5 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace; }
.sx .chips { display:flex; flex-wrap:wrap; gap:.2rem; }
.sx .tag { color:var(--kind); font-weight:600; }
.sx .bar { display:block; height:.42rem; border-radius:3px; background:var(--line);
  overflow:hidden; }
.sx .bar i { display:block; height:100%; background:var(--kind,var(--heat)); }
.sx table { border-collapse:collapse; width:100%; margin:.4rem 0; }
.sx th { text-align:left; font-weight:500; color:var(--soft); font-size:.85rem;
  padding:.15rem .6rem; }
.sx td { padding:.22rem .6rem; vertical-align:top; border-top:1px solid var(--line); }
.sx td.n, .sx th.n { text-align:right; white-space:nowrap; font-variant-numeric:tabular-nums; }
.sx td.code { font:13px/1.55 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;
  white-space:pre-wrap; overflow-wrap:anywhere; }
.sx td.steps { min-width:13.4rem; }
.sx td.time { width:9.5rem; min-width:8rem; }
.sx .spent { display:flex; height:2.1rem; border-radius:6px; overflow:hidden; margin:.6rem 0 .3rem;
  gap:1px; background:var(--line); border:1px solid var(--line); }
.sx .spent a { flex:1 1 0; min-width:2px; overflow:hidden; text-align:center; color:var(--fg);
  background:color-mix(in srgb,var(--kind) 38%,var(--bg)); font-size:.82rem; line-height:2rem;
  white-space:nowrap; }
.sx .legend { display:flex; flex-wrap:wrap; gap:.15rem 1.1rem; font-size:.85rem; color:var(--soft);
  margin:.2rem 0 .8rem; }
.sx .legend span::before { content:""; display:inline-block; width:.75em; height:.75em;
  border-radius:2px; background:var(--kind); margin-right:.4em; }
.sx .step { display:grid; grid-template-columns:3rem 1fr 12.5rem; gap:.1rem .6rem;
  padding:.5rem .3rem; border-top:1px solid var(--line); scroll-margin-top:3.2rem; }
.sx .step .eq code { display:block; overflow-wrap:anywhere; padding-left:1.2em;
  text-indent:-1.2em; font-size:13.5px; }
.sx .meta { color:var(--soft); font-size:.86rem; overflow-wrap:anywhere; }
.sx .meta code { font-size:12.5px; color:var(--fg); }
.sx .amount { text-align:right; font-variant-numeric:tabular-nums; font-size:.9rem; }
.sx .amount small { color:var(--soft); font-size:.8rem; }
.sx .amount .moves { display:flex; flex-wrap:wrap; gap:0 .7rem; justify-content:flex-end; }
.sx .amount .bar { margin:.1rem 0; }
.sx .unmeasured .step { grid-template-columns:3rem 1fr 7rem; }
.sx details { margin:.35rem 0; scroll-margin-top:3.2rem; }
.sx summary { cursor:pointer; padding:.15rem .2rem; border-radius:4px; }
.sx summary:hover { background:var(--panel); }
.sx summary .inset { padding-left:1.05rem; font-size:.9rem; }
.sx .box { margin:.45rem 0; }
.sx .box > b { margin-left:1.15rem; } .sx .box > b ~ div { padding-left:1.15rem; font-size:.9rem; }
.sx .box { border:1px solid var(--line); border-radius:8px; padding:.25rem .7rem; }
.sx .rule { border-top:1px solid var(--line); padding:.5rem 0 .45rem; }
.sx .rule .name { font-weight:600; }
.sx .use { display:grid; grid-template-columns:1fr auto; gap:0 1rem; margin:.25rem 0 .25rem 1rem; }
.sx .use .eq { overflow-wrap:anywhere; } .sx .use .eq code { white-space:pre-wrap; }
.sx .use .to { color:var(--heat); font-weight:700; padding:0 .35rem; }
.sx .use .where { color:var(--soft); font-size:.86rem; white-space:nowrap; }
.sx .gantt { display:grid; grid-template-columns:minmax(6.5rem,max-content) 1fr; gap:0 .8rem;
  align-items:start; margin:.7rem 0; }
.sx .gantt .axis, .sx .gantt .track { position:relative; height:1.5rem; }
.sx .gantt .track { background:repeating-linear-gradient(90deg,var(--line) 0 1px,transparent 1px
  var(--cell)); border-right:1px solid var(--line); }
.sx .gantt .axis span { position:absolute; transform:translateX(-50%); color:var(--soft);
  font-size:.78rem; font-variant-numeric:tabular-nums; }
.sx .gantt .track i { position:absolute; top:.22rem; height:1.06rem; background:var(--gemm);
  opacity:.3; }
.sx .gantt .track i.w { opacity:1; } .sx .gantt .track i.c { opacity:1; background:var(--rows); }
.sx .gantt .name { line-height:1.5rem; white-space:nowrap; }
.sx .gantt .name small { color:var(--soft); margin-left:.45rem; }
.sx .gantt .holds { grid-column:2; color:var(--soft); margin-bottom:.55rem; font-size:.85rem;
  overflow-wrap:anywhere; } .sx .gantt .holds code { font-size:12.5px; }
.sx .swatch { display:inline-block; width:1.3em; height:.8em; background:var(--gemm); opacity:.3;
  margin-right:.35em; vertical-align:baseline; }
.sx .swatch.w { opacity:1; } .sx .swatch.c { opacity:1; background:var(--rows); }
.sx .arena { position:relative; height:15rem; border:1px solid var(--line); border-radius:6px;
  background:var(--panel); margin:.6rem 0 .2rem; overflow:hidden; }
.sx .arena div { position:absolute; border:1px solid var(--gemm); font-size:.8rem; min-height:3px;
  background:color-mix(in srgb,var(--gemm) 22%,transparent); padding:0 .35rem; overflow:hidden;
  white-space:nowrap; }
.sx .source .w { color:var(--word); } .sx .source .d { color:var(--number); }
.sx .source .f { color:var(--call); }
.sx .lit { background:var(--mark); }
.sx .notes { color:var(--soft); font-size:.9rem; padding-left:1.1rem; }
.sx .notes li { max-width:80ch; }
@media (max-width:860px) { .sx { padding:0 .9rem 2rem; }
  .sx .flow { grid-template-columns:repeat(auto-fit,minmax(7.2rem,1fr)); gap:.5rem 1.2rem; }
  .sx .flow li { padding:.4rem .55rem; } .sx .flow li + li::before { left:-1.05rem; }
  .sx .step, .sx .unmeasured .step { grid-template-columns:2.5rem 1fr 8.8rem; }
  .sx td.code { min-width:13rem; }
  .sx td.steps { min-width:6.5rem; } .sx td.time { width:8rem; min-width:8rem; }
  .sx .use { grid-template-columns:1fr; } }
@media print { .sx nav { position:static; } .sx pre { max-height:none; white-space:pre-wrap; } }
"""

# Only comfort: what belongs together lights up, and links open what they point into.
JS = """
(function (root) {
  function steps(el) { return (el.dataset.steps || "").split(" ").filter(Boolean); }
  var all = root.querySelectorAll("[data-steps]");
  all.forEach(function (el) {
    el.addEventListener("mouseenter", function () {
      var mine = steps(el);
      all.forEach(function (other) {
        if (steps(other).some(function (s) { return mine.indexOf(s) >= 0; }))
          other.classList.add("lit");
      });
    });
    el.addEventListener("mouseleave", function () {
      all.forEach(function (other) { other.classList.remove("lit"); });
    });
  });
  function open() {
    var id = decodeURIComponent(location.hash.slice(1));
    var el = id && document.getElementById(id);
    if (el && el.tagName === "DETAILS") el.open = true;
  }
  window.addEventListener("hashchange", open);
  open();
})(document.getElementById("ROOT"));
"""

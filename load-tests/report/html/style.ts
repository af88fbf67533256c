/** The style of the report; colours that are told apart in both schemes, also without full colour vision. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b1f24; --soft: #5c6570; --rule: #e2e6ea;
  --good: #12724a; --bad: #b3261e; --good-tint: #e3f4ec; --bad-tint: #fbe9e7;
  --s0: #2563c9; --s1: #c2571a; --s2: #6d4bb8; --s3: #0f7c80;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111418; --card: #1a1f25; --ink: #e7eaee; --soft: #9aa4af; --rule: #2d343c;
    --good: #63d3a0; --bad: #ff8a80; --good-tint: #14322600; --bad-tint: #3a1d1b00;
    --s0: #6ea8ff; --s1: #f19a5b; --s2: #b69cf5; --s3: #4fc4c8;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1220px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 18px; line-height: 1.3; margin: 0; letter-spacing: -0.005em; }
p { margin: 0 0 8px; }
.soft { color: var(--soft); }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px 24px; margin: 24px 0; }
.facts dt { color: var(--soft); font-size: 13px; }
.facts dd { margin: 0; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 22px 24px; margin-top: 20px; }
section > p { margin: 2px 0 16px; font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 24px 32px; }
figure { margin: 0; }
figcaption { font-size: 13px; color: var(--soft); margin-bottom: 8px; }
.key { margin-left: 14px; white-space: nowrap; color: var(--ink); }
.key::before { content: ''; display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 5px; background: var(--series); }
svg { display: block; width: 100%; height: auto; overflow: visible; font: 12px system-ui, sans-serif; }
.s0 { --series: var(--s0); } .s1 { --series: var(--s1); } .s2 { --series: var(--s2); } .s3 { --series: var(--s3); }
svg text { fill: var(--soft); }
svg .name { text-anchor: end; } svg .mark { text-anchor: middle; }
svg .value { fill: var(--ink); font-weight: 600; }
svg .grid { stroke: var(--rule); }
svg .one { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .band { fill: var(--series); opacity: 0.18; }
svg circle { fill: var(--series); opacity: 0.75; }
svg .median { stroke: var(--series); stroke-width: 2.5; }
svg .target { stroke: var(--ink); stroke-width: 1.5; } svg .target-tip { fill: var(--ink); }
svg polyline { fill: none; stroke: var(--series); stroke-width: 2; stroke-linejoin: round; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: right; padding: 6px 0 6px 20px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 500; color: var(--soft); font-size: 13px; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; }
tr:last-child td { border-bottom: 0; }
td small { color: var(--soft); font-size: 12px; }
.verdict { font-weight: 600; padding: 1px 8px; border-radius: 99px; font-size: 12px; }
.met { color: var(--good); background: var(--good-tint); } .missed { color: var(--bad); background: var(--bad-tint); }
details { margin-top: 18px; font-size: 14px; }
summary { cursor: pointer; color: var(--soft); }
pre { overflow-x: auto; margin: 8px 0 0; padding: 12px 14px; background: var(--page); border-radius: 8px; font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media print { section { break-inside: avoid; } body { background: none; } }
`

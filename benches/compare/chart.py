"""Bars of CPU time per request, as SVG that reads on a light and on a dark page."""

from html import escape

WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 780, 210, 70, 18, 6, 44
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .head { font-weight: 600; }
  .value { font-variant-numeric: tabular-nums; }
  .ours { fill: #1a7f64; }
  .other { fill: #a9b4c0; }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .ours { fill: #3fb68b; } .other { fill: #59636e; } }
"""


def draw(groups):
    """`groups`: [(heading, [(title, microseconds, ours), ...]), ...]. Each group has its own scale."""
    parts, y = [], 8
    for heading, bars in groups:
        parts.append(f'<text class="head" x="0" y="{y + 18}">{escape(heading)}: CPU µs per request</text>')
        y += HEAD - 12
        longest = max(value for _, value, _ in bars)
        for title, value, ours in sorted(bars, key=lambda bar: bar[1]):
            length = max(1, (WIDTH - LEFT - RIGHT) * value / longest)
            parts.append(f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end">{escape(title)}</text>')
            parts.append(f'<rect class="{"ours" if ours else "other"}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>')
            parts.append(f'<text class="value" x="{LEFT + length + 8:.1f}" y="{y + 14}">{value:.0f}</text>')
            y += BAR + GAP
        y += 14
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" aria-label="CPU time per request">\n<style>{STYLE}</style>\n{body}\n</svg>\n'

import Anser from 'anser';

export type Span = { text: string; className: string };

// Colours of the page's own tokens, so that they can be read in both themes.
const COLOURS: Readonly<Record<string, string>> = {
  black: 'text-subtle',
  red: 'text-danger',
  green: 'text-ok',
  yellow: 'text-warn',
  blue: 'text-accent',
  magenta: 'text-series-4',
  cyan: 'text-info',
  white: 'text-fg',
};
const DECORATIONS: Readonly<Record<string, string>> = {
  bold: 'font-bold',
  dim: 'text-subtle',
  italic: 'italic',
  underline: 'underline',
  strikethrough: 'line-through',
};

/** A line as pieces with the classes of their colours. Called for lines in view only. */
export function spansOf(text: string): readonly Span[] {
  if (!text.includes('\u001B')) return [{ text, className: '' }];
  return Anser.ansiToJson(text, { json: true, remove_empty: true, use_classes: true }).map(
    ({ content, fg, decorations }) => {
      const colour = COLOURS[fg?.replace('ansi-', '').replace('bright-', '') ?? ''] ?? '';
      const decoration = decorations.map((one) => DECORATIONS[one] ?? '').join(' ');
      return { text: content, className: `${colour} ${decoration}`.trim() };
    },
  );
}

export type Piece = Span & { hit: boolean };

/** The same pieces cut where the search text is found, whatever the case. */
export function highlight(spans: readonly Span[], search: string): readonly Piece[] {
  if (!search) return spans.map((span) => ({ ...span, hit: false }));
  const plain = spans
    .map((span) => span.text)
    .join('')
    .toLowerCase();
  const wanted = search.toLowerCase();
  const cuts: { from: number; to: number }[] = [];
  for (let at = plain.indexOf(wanted); at >= 0; at = plain.indexOf(wanted, at + wanted.length))
    cuts.push({ from: at, to: at + wanted.length });
  const pieces: Piece[] = [];
  let start = 0;
  for (const span of spans) {
    const end = start + span.text.length;
    let at = start;
    for (const cut of cuts) {
      const from = Math.max(at, cut.from);
      const to = Math.min(end, cut.to);
      if (from >= to) continue;
      if (from > at) pieces.push({ ...span, text: span.text.slice(at - start, from - start), hit: false });
      pieces.push({ ...span, text: span.text.slice(from - start, to - start), hit: true });
      at = to;
    }
    if (at < end) pieces.push({ ...span, text: span.text.slice(at - start), hit: false });
    start = end;
  }
  return pieces;
}

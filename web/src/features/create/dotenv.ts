export type Variable = { key: string; value: string };

const LINE = /^\s*(?:export\s+)?([^\s=#]+)\s*=\s*(.*)$/;

function unquote(text: string): string {
  const value = text.trim();
  if (value.startsWith("'")) {
    const end = value.indexOf("'", 1);
    if (end > 0) return value.slice(1, end);
  }
  if (value.startsWith('"')) {
    const match = /^"((?:[^"\\]|\\.)*)"/.exec(value);
    if (match)
      return (match[1] ?? '').replaceAll(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
  }
  return value.replace(/\s+#.*$/, '');
}

/** Variables of a .env file; a later line of the same name wins. Comments and empty lines are left out. */
export function parseDotenv(text: string): { variables: readonly Variable[]; skipped: number } {
  const found = new Map<string, string>();
  let skipped = 0;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(line)) continue;
    const match = LINE.exec(line);
    if (match?.[1]) found.set(match[1], unquote(match[2] ?? ''));
    else skipped += 1;
  }
  return { variables: [...found].map(([key, value]) => ({ key, value })), skipped };
}

const SAFE = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** A word as a POSIX shell reads it back unchanged. */
export function quote(word: string): string {
  return SAFE.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A docker command line. Mini answers on a socket of its own, so it is named; Docker's is the one in use. */
export function dockerCommand(engine: string, endpoint: string | undefined, args: readonly string[]): string {
  const host = engine === 'mini' ? ['-H', endpoint ?? 'unix:///run/containeros/mini.sock'] : [];
  return ['docker', ...host, ...args].map(quote).join(' ');
}

/**
 * Splits a line into words as a POSIX shell does, quotes and backslashes included, but expands nothing.
 * Null when a quote is not closed.
 */
export function splitWords(line: string): string[] | null {
  const words: string[] = [];
  let word = '';
  let open: '' | "'" | '"' = '';
  let started = false;
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at] ?? '';
    if (open === "'") {
      if (character === "'") open = '';
      else word += character;
    } else if (open === '"') {
      const next = line[at + 1] ?? '';
      if (character === '"') {
        open = '';
      } else if (character === '\\' && '"\\$`'.includes(next) && next) {
        word += next;
        at += 1;
      } else {
        word += character;
      }
    } else if (character === "'" || character === '"') {
      open = character;
      started = true;
    } else if (character === '\\') {
      word += line[at + 1] ?? '';
      at += 1;
      started = true;
    } else if (/\s/.test(character)) {
      if (started || word) words.push(word);
      word = '';
      started = false;
    } else {
      word += character;
      started = true;
    }
  }
  if (open) return null;
  if (started || word) words.push(word);
  return words;
}

export const PASSWORD_MINIMUM = 12;

export type Strength = { word: 'short'; missing: number } | { word: 'weak' | 'fair' | 'good' };

/** A rough word for a password, by length and variety. The server's rule is only the length. */
export function strengthOf(password: string): Strength {
  const characters = Array.from(password);
  if (characters.length < PASSWORD_MINIMUM) return { word: 'short', missing: PASSWORD_MINIMUM - characters.length };
  const different = new Set(characters).size;
  if (different < 7) return { word: 'weak' };
  return { word: characters.length >= 16 && different >= 9 ? 'good' : 'fair' };
}

/** The one-time token in the fragment of the address that the server printed: `#token=…`. */
export function tokenFrom(hash: string): string {
  const text = hash.replace(/^#/, '');
  return new URLSearchParams(text).get('token') ?? (text.includes('=') ? '' : decodeURIComponent(text));
}

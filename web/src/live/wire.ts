import type { ServerMessage } from '@/api/schema.gen.ts';

const KINDS: ReadonlySet<string> = new Set(['hello', 'snap', 'delta', 'gap', 'end', 'err', 'ping', 'pong']);
const OF_A_TOPIC: ReadonlySet<string> = new Set(['snap', 'delta', 'gap', 'end']);

/** A server's frame, or null for what is none: a broken frame must not take the page down. */
export function messageOf(text: string): ServerMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || !('t' in value) || typeof value.t !== 'string') return null;
  if (!KINDS.has(value.t)) return null;
  if (OF_A_TOPIC.has(value.t) && !('id' in value && typeof value.id === 'number')) return null;
  if ((value.t === 'snap' || value.t === 'delta') && !('seq' in value && typeof value.seq === 'number')) return null;
  // The wire's edge: kind, id and number are checked above, the rest is the server's promise (docs/openapi.json).
  return trust<ServerMessage>(value);
}

/**
 * Data of a topic with the type that docs/openapi.json gives it. The one place where the server's word is taken for it:
 * both sides are generated from the same description.
 */
export function trust<T>(data: unknown): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return data as T;
}

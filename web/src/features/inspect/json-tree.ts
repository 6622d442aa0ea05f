export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Node = { path: string; key: string; value: Json; depth: number; children: number };

const IDENTIFIER = /^[A-Za-z_]\w*$/;

function childPath(parent: string, key: string, inArray: boolean): string {
  if (inArray) return `${parent}[${key}]`;
  return IDENTIFIER.test(key) ? `${parent}.${key}` : `${parent}[${JSON.stringify(key)}]`;
}

function entriesOf(value: Json): readonly (readonly [string, Json])[] {
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value);
}

/** Paths of the nodes whose key or plain value holds the text, whatever the case. */
export function findPaths(root: Json, text: string): readonly string[] {
  const wanted = text.toLowerCase();
  if (!wanted) return [];
  const found: string[] = [];
  const visit = (value: Json, key: string, path: string): void => {
    const plain = value === null || typeof value !== 'object' ? String(value) : '';
    if (key.toLowerCase().includes(wanted) || plain.toLowerCase().includes(wanted)) found.push(path);
    for (const [name, child] of entriesOf(value)) visit(child, name, childPath(path, name, Array.isArray(value)));
  };
  for (const [name, child] of entriesOf(root)) visit(child, name, childPath('', name, Array.isArray(root)));
  return found;
}

/** Whether a node lies on the way to one of the paths, so that it must be open for them to be seen. */
export function leadsTo(path: string, targets: readonly string[]): boolean {
  return targets.some(
    (target) =>
      target !== path && target.startsWith(path) && (target[path.length] === '.' || target[path.length] === '['),
  );
}

/** The lines of a tree in which `open` says which branches are unfolded. */
export function flatten(root: Json, open: (path: string, depth: number) => boolean): readonly Node[] {
  const nodes: Node[] = [];
  const visit = (value: Json, key: string, path: string, depth: number): void => {
    const entries = entriesOf(value);
    nodes.push({ path, key, value, depth, children: entries.length });
    if (!open(path, depth)) return;
    for (const [name, child] of entries) visit(child, name, childPath(path, name, Array.isArray(value)), depth + 1);
  };
  for (const [name, child] of entriesOf(root)) visit(child, name, childPath('', name, Array.isArray(root)), 0);
  return nodes;
}

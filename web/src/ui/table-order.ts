export type SortState = { column: string; descending: boolean };
export type Group = { key: string; label: string };
export type Line<Row> = { kind: 'group'; group: Group; count: number } | { kind: 'row'; row: Row; index: number };

type Sortable<Row> = { id: string; sort?: ((a: Row, b: Row) => number) | undefined };

/** Rows in the order of one column; equal ones keep the order they came in. */
export function sortRows<Row>(
  rows: readonly Row[],
  columns: readonly Sortable<Row>[],
  sort: SortState | null,
): readonly Row[] {
  const compare = columns.find((column) => column.id === sort?.column)?.sort;
  if (!sort || !compare) return rows;
  return rows.toSorted((a, b) => (sort.descending ? compare(b, a) : compare(a, b)));
}

/** Rows as lines, with a heading before each group. Rows without a group come last under `rest`. */
export function groupRows<Row>(
  rows: readonly Row[],
  group: ((row: Row) => Group | null) | undefined,
  rest: string,
): readonly Line<Row>[] {
  if (!group) return rows.map((row, index) => ({ kind: 'row', row, index }));
  const groups = new Map<string, { group: Group; rows: Row[] }>();
  for (const row of rows) {
    const found = group(row) ?? { key: '', label: rest };
    const entry = groups.get(found.key) ?? { group: found, rows: [] };
    entry.rows.push(row);
    groups.set(found.key, entry);
  }
  const ordered = [...groups.values()].toSorted((a, b) => {
    if (!a.group.key || !b.group.key) return a.group.key ? -1 : 1;
    return a.group.label.localeCompare(b.group.label);
  });
  const lines: Line<Row>[] = [];
  let index = 0;
  for (const entry of ordered) {
    lines.push({ kind: 'group', group: entry.group, count: entry.rows.length });
    for (const row of entry.rows) {
      lines.push({ kind: 'row', row, index });
      index += 1;
    }
  }
  return lines;
}

/** The keys between two rows, both included, in the order shown. */
export function keysBetween(order: readonly string[], from: string, to: string): readonly string[] {
  const a = order.indexOf(from);
  const b = order.indexOf(to);
  if (a < 0 || b < 0) return [to];
  return order.slice(Math.min(a, b), Math.max(a, b) + 1);
}

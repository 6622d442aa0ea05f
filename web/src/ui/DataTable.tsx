import { useVirtualizer } from '@tanstack/react-virtual';
import { clsx } from 'clsx';
import { ArrowDown, ArrowUp } from 'lucide-react';
import {
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react';

import { t } from './messages.ts';
import { PHONE, useMedia, useScrollHost } from './scroll.ts';
import { type Group, groupRows, keysBetween, sortRows, type SortState } from './table-order.ts';

export type Column<Row> = {
  id: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** Ascending order; a column without one cannot be sorted. */
  sort?: (a: Row, b: Row) => number;
  /** The values change by themselves: order is refreshed every 5 s, never under the reader's hands. */
  live?: boolean;
  /** A CSS width; columns without one share what is left. */
  width?: string;
  align?: 'right';
  /** Not shown on windows narrower than this. */
  from?: 'md' | 'lg' | 'xl';
};

type DataTableProps<Row> = {
  label: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string;
  rowName: (row: Row) => string;
  sort: SortState | null;
  onSort: (sort: SortState) => void;
  /** The phone's form of a row. */
  card: (row: Row) => ReactNode;
  onOpen?: (row: Row) => void;
  selection?: ReadonlySet<string>;
  onSelection?: (selection: ReadonlySet<string>) => void;
  group?: ((row: Row) => Group | null) | undefined;
  /** Heading of the rows without a group. */
  restLabel?: string;
  /** What single keys do on the focused row. */
  rowKeys?: Readonly<Record<string, (row: Row) => void>>;
  empty: ReactNode;
};

const RESORT_MS = 5000;

function isControl(target: EventTarget): boolean {
  // An icon in a button is an SVG element, which is no HTMLElement.
  return target instanceof Element && target.closest('a,button,input,label,[role=menu]') !== null;
}

/** A real table of many rows: only those in view are in the document, the rest is two spacer rows. */
export function DataTable<Row>(props: DataTableProps<Row>): ReactNode {
  const { rows, rowKey, rowName, sort, selection, onSelection, group, empty } = props;
  const columns = useShownColumns(props.columns);
  const phone = useMedia(PHONE);
  const host = useScrollHost();
  const root = useRef<HTMLDivElement>(null);
  const engaged = useRef(false);
  const anchor = useRef<string | null>(null);
  const [active, setActive] = useState(0);
  const [resort, setResort] = useState(0);
  const [margin, setMargin] = useState(0);
  const rowHeight = useRowHeight();

  const liveSort = props.columns.some((column) => column.id === sort?.column && column.live);
  useEffect(() => {
    if (!liveSort) return undefined;
    const timer = setInterval(() => {
      if (!engaged.current) setResort((count) => count + 1);
    }, RESORT_MS);
    return () => clearInterval(timer);
  }, [liveSort]);

  const lines = useMemo(
    () => groupRows(sortRows(rows, props.columns, sort), group, props.restLabel ?? ''),
    // `resort` asks for a fresh order of values that changed without the rows changing.
    // oxlint-disable-next-line react/exhaustive-deps
    [rows, props.columns, sort, group, props.restLabel, resort],
  );
  const order = useMemo(
    () => lines.flatMap((line) => (line.kind === 'row' ? [rowKey(line.row)] : [])),
    [lines, rowKey],
  );

  useLayoutEffect(() => {
    const scroller = host.current;
    const node = root.current;
    if (!scroller || !node) return;
    const top = node.getBoundingClientRect().top - scroller.getBoundingClientRect().top + scroller.scrollTop;
    setMargin(Math.round(top));
  }, [host, lines.length, phone, selection?.size]);

  const virtualizer = useVirtualizer({
    count: lines.length,
    getScrollElement: () => host.current,
    estimateSize: () => (phone ? 124 : rowHeight),
    overscan: 12,
    scrollMargin: margin,
    getItemKey: (index) => {
      const line = lines[index];
      if (!line) return index;
      return line.kind === 'row' ? rowKey(line.row) : `group:${line.group.key}`;
    },
  });

  const toggle = (key: string, range: boolean): void => {
    if (!selection || !onSelection) return;
    const next = new Set(selection);
    const keys = range && anchor.current ? keysBetween(order, anchor.current, key) : [key];
    const on = !selection.has(key);
    for (const one of keys) {
      if (on) next.add(one);
      else next.delete(one);
    }
    anchor.current = key;
    onSelection(next);
  };

  const focusLine = (index: number): void => {
    const step = index < active ? -1 : 1;
    let target = Math.max(0, Math.min(lines.length - 1, index));
    while (lines[target]?.kind === 'group' && target + step >= 0 && target + step < lines.length) target += step;
    if (lines[target]?.kind !== 'row') return;
    setActive(target);
    virtualizer.scrollToIndex(target, { align: 'auto' });
    requestAnimationFrame(() => root.current?.querySelector<HTMLElement>(`[data-line="${String(target)}"]`)?.focus());
  };

  const onRowKey = (event: KeyboardEvent<HTMLElement>, row: Row, index: number): void => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key;
    const act = (): void => {
      if (key === 'ArrowDown' || key === 'j') focusLine(index + 1);
      else if (key === 'ArrowUp' || key === 'k') focusLine(index - 1);
      else if (key === 'Home') focusLine(0);
      else if (key === 'End') focusLine(lines.length - 1);
      else if (key === 'PageDown') focusLine(index + 10);
      else if (key === 'PageUp') focusLine(index - 10);
      else if (key === 'Enter') props.onOpen?.(row);
      else if (key === 'x' || key === 'X' || key === ' ') toggle(rowKey(row), key === 'X');
      else props.rowKeys?.[key]?.(row);
    };
    const known = ['ArrowDown', 'ArrowUp', 'Home', 'End', 'PageDown', 'PageUp', 'Enter', 'j', 'k', 'x', 'X', ' '];
    if (known.includes(key) || props.rowKeys?.[key]) {
      event.preventDefault();
      act();
    }
  };

  const onRowClick = (event: MouseEvent, row: Row): void => {
    // A click that ends a text selection is not a wish to leave the page.
    if (isControl(event.target) || window.getSelection()?.toString()) return;
    props.onOpen?.(row);
  };

  const items = virtualizer.getVirtualItems();
  const before = (items[0]?.start ?? margin) - margin;
  const after = Math.max(0, virtualizer.getTotalSize() - ((items.at(-1)?.end ?? margin) - margin));
  const engage = {
    onPointerEnter: () => void (engaged.current = true),
    onPointerLeave: () => void (engaged.current = false),
    onFocus: () => void (engaged.current = true),
    onBlur: () => void (engaged.current = false),
  };

  if (lines.length === 0) return empty;
  if (phone) {
    return (
      <div ref={root}>
        <ul aria-label={props.label} className="flex flex-col">
          <li aria-hidden style={{ height: before }} />
          {items.map(({ index, key }) => {
            const line = lines[index];
            if (!line) return null;
            return (
              <li key={key} data-index={index} ref={virtualizer.measureElement} className="pb-2">
                {line.kind === 'group' ? (
                  <p className="pt-2 text-sm font-semibold">{line.group.label}</p>
                ) : (
                  <div className="flex items-start gap-3 rounded-card border border-line bg-surface p-3">
                    {selection && (
                      <label className="flex size-11 shrink-0 items-center justify-center">
                        <input
                          type="checkbox"
                          aria-label={t('selectRow', { name: rowName(line.row) })}
                          checked={selection.has(rowKey(line.row))}
                          onChange={() => toggle(rowKey(line.row), false)}
                        />
                      </label>
                    )}
                    <div className="min-w-0 flex-1">{props.card(line.row)}</div>
                  </div>
                )}
              </li>
            );
          })}
          <li aria-hidden style={{ height: after }} />
        </ul>
      </div>
    );
  }

  const allSelected = selection !== undefined && order.length > 0 && order.every((key) => selection.has(key));
  const columnCount = columns.length + (selection ? 1 : 0);
  return (
    <div ref={root} className="rounded-card border border-line bg-surface" {...engage}>
      <table aria-label={props.label} aria-rowcount={lines.length + 1} className="w-full table-fixed border-collapse">
        <thead className="sticky top-(--head) z-10 bg-surface">
          <tr aria-rowindex={1} className="border-b border-line text-left text-xs text-subtle">
            {selection && (
              <th scope="col" className="w-11 rounded-tl-card bg-surface px-3">
                <input
                  type="checkbox"
                  aria-label={t('selectAll')}
                  checked={allSelected}
                  ref={(node) => {
                    if (node) node.indeterminate = !allSelected && selection.size > 0;
                  }}
                  onChange={() => onSelection?.(allSelected ? new Set() : new Set(order))}
                />
              </th>
            )}
            {columns.map((column) => (
              <Heading key={column.id} column={column} sort={sort} onSort={props.onSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <Spacer columns={columnCount} height={before} />}
          {items.map(({ index, key }) => {
            const line = lines[index];
            if (!line) return null;
            if (line.kind === 'group') {
              return (
                <tr key={key} aria-rowindex={index + 2} className="h-row border-t border-line bg-canvas">
                  <th scope="colgroup" colSpan={columnCount} className="px-3 text-left font-semibold">
                    {line.group.label}{' '}
                    <span className="font-normal text-subtle">· {t('rows', { count: line.count })}</span>
                  </th>
                </tr>
              );
            }
            const selected = selection?.has(rowKey(line.row)) ?? false;
            return (
              // Enter on the focused row and the link in its name do the same as this click.
              // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
              <tr
                key={key}
                data-line={index}
                aria-rowindex={index + 2}
                aria-selected={selection ? selected : undefined}
                tabIndex={index === active || (active >= lines.length && line.index === 0) ? 0 : -1}
                onFocus={() => setActive(index)}
                onKeyDown={(event) => onRowKey(event, line.row, index)}
                onClick={(event) => onRowClick(event, line.row)}
                className={clsx(
                  'group/row h-row scroll-mt-24 border-t border-line -outline-offset-2 first:border-t-0',
                  props.onOpen && 'cursor-pointer',
                  selected ? 'bg-accent/9' : 'hover:bg-raised/60',
                )}
              >
                {selection && (
                  <td className="px-3">
                    <input
                      type="checkbox"
                      aria-label={t('selectRow', { name: rowName(line.row) })}
                      checked={selected}
                      onClick={(event) => toggle(rowKey(line.row), event.shiftKey)}
                      onChange={() => undefined}
                    />
                  </td>
                )}
                {columns.map((column) => (
                  <td
                    key={column.id}
                    className={clsx(
                      // The menu of a row is a control, not text to cut.
                      column.header ? 'truncate px-2.5' : 'px-1',
                      column.align === 'right' && 'text-right',
                    )}
                  >
                    {column.cell(line.row)}
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 && <Spacer columns={columnCount} height={after} />}
        </tbody>
      </table>
    </div>
  );
}

function Spacer({ columns, height }: { columns: number; height: number }): ReactNode {
  return (
    <tr aria-hidden>
      <td colSpan={columns} style={{ height, padding: 0 }} />
    </tr>
  );
}

type HeadingProps<Row> = { column: Column<Row>; sort: SortState | null; onSort: (sort: SortState) => void };

function Heading<Row>({ column, sort, onSort }: HeadingProps<Row>): ReactNode {
  const current = sort?.column === column.id ? sort : null;
  const Arrow = current?.descending ? ArrowDown : ArrowUp;
  return (
    <th
      scope="col"
      style={{ width: column.width }}
      aria-sort={current ? (current.descending ? 'descending' : 'ascending') : undefined}
      className={clsx(
        'h-9 bg-surface px-2.5 font-medium last:rounded-tr-card',
        column.align === 'right' && 'text-right',
      )}
    >
      {column.sort ? (
        <button
          type="button"
          title={t('sortBy', { column: column.header })}
          onClick={() => onSort({ column: column.id, descending: current ? !current.descending : false })}
          className="inline-flex min-h-6 items-center gap-1 font-medium hover:text-fg"
        >
          {column.header}
          <Arrow size={12} aria-hidden className={clsx(!current && 'invisible')} />
        </button>
      ) : (
        column.header || <span className="sr-only">{column.id}</span>
      )}
    </th>
  );
}

/** The columns that this window has room for. Hiding the others by CSS would leave them their share of the width. */
function useShownColumns<Row>(columns: readonly Column<Row>[]): readonly Column<Row>[] {
  const md = useMedia('(min-width: 768px)');
  const lg = useMedia('(min-width: 1024px)');
  const xl = useMedia('(min-width: 1440px)');
  return useMemo(() => {
    const room = { md, lg, xl };
    return columns.filter(({ from }) => !from || room[from]);
  }, [columns, md, lg, xl]);
}

/** The row's height in pixels, as the density and the pointer make it. */
function useRowHeight(): number {
  const coarse = useMedia('(pointer: coarse)');
  const [height, setHeight] = useState(36);
  useLayoutEffect(() => {
    const value = Number.parseInt(getComputedStyle(document.documentElement).getPropertyValue('--row'), 10);
    if (Number.isFinite(value)) setHeight(value);
  }, [coarse]);
  return height;
}

import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown } from 'lucide-react';
import {
  type ReactNode,
  type Ref,
  type SyntheticEvent,
  type UIEvent,
  useEffect,
  useImperativeHandle,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';

import { Button } from '@/ui/Button.tsx';

import type { Entry } from './log-buffer.ts';
import { LogRow } from './LogRow.tsx';
import { t } from './messages.ts';

const LINE_HEIGHT = 18;
const NEAR_END = 24;
/** A scroll so soon after a wheel, finger, key or drag is the reader's. */
const HAND_MS = 400;

export type LogViewHandle = { scrollTo: (index: number) => void };

type LogViewProps = {
  ref?: Ref<LogViewHandle>;
  entries: readonly Entry[];
  /** Lines put before and taken from the beginning so far: the view stays on the line it shows. */
  prepended: number;
  dropped: number;
  search: string;
  currentSeq: number | null;
  timestamps: boolean;
  wrap: boolean;
  follow: boolean;
  onFollow: (follow: boolean) => void;
  head: ReactNode;
  empty: ReactNode;
};

/** The lines in view of many. Follows the end until someone scrolls up; then it never jumps. */
export function LogView(props: LogViewProps): ReactNode {
  const { entries, prepended, dropped, follow, onFollow, wrap } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLDivElement>(null);
  const [margin, setMargin] = useState(0);
  const shift = prepended - dropped;
  const lastShift = useRef(shift);
  const lastTop = useRef(0);
  const handAt = useRef(Number.NEGATIVE_INFINITY);
  const lastSeq = entries.at(-1)?.seq ?? -1;
  const [pausedAt, setPausedAt] = useState<number | null>(null);

  const virtualizer = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_HEIGHT,
    overscan: 20,
    scrollMargin: margin,
    getItemKey: (index) => entries[index]?.seq ?? index,
  });

  useLayoutEffect(() => setMargin(head.current?.offsetHeight ?? 0), [props.head]);
  useLayoutEffect(() => {
    const node = scroller.current;
    const moved = shift - lastShift.current;
    lastShift.current = shift;
    if (!node) return;
    if (follow) node.scrollTop = node.scrollHeight;
    else if (moved !== 0) node.scrollTop += moved * LINE_HEIGHT;
  }, [entries, shift, follow, wrap]);
  useEffect(() => setPausedAt(follow ? null : lastSeq), [follow]); // oxlint-disable-line react/exhaustive-deps
  useImperativeHandle(
    props.ref,
    () => ({ scrollTo: (index) => virtualizer.scrollToIndex(index, { align: 'center' }) }),
    [virtualizer],
  );

  // Only the reader's own hand stops and resumes following: growth of the log, a filter that makes it shorter and a
  // jump to a match scroll, too. A finger's scroll goes on after it has let go, so each event prolongs the hand's.
  const onScroll = (event: UIEvent<HTMLDivElement>): void => {
    const { scrollHeight, clientHeight, scrollTop } = event.currentTarget;
    const down = scrollTop > lastTop.current;
    lastTop.current = scrollTop;
    if (follow || event.timeStamp - handAt.current > HAND_MS) return;
    handAt.current = event.timeStamp;
    if (down && scrollHeight - scrollTop - clientHeight <= NEAR_END) onFollow(true);
  };
  const onHand = (event: SyntheticEvent, up: boolean): void => {
    handAt.current = event.timeStamp;
    if (up && follow) onFollow(false);
  };
  const fresh = pausedAt === null ? 0 : lastSeq - pausedAt;
  const items = virtualizer.getVirtualItems();
  return (
    <div className="relative min-h-0 flex-1">
      {/* The handlers only watch how a scrollable region is moved. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        ref={scroller}
        role="log"
        aria-live="off"
        aria-label={t('region')}
        tabIndex={0}
        onScroll={onScroll}
        onWheel={(event) => onHand(event, event.deltaY < 0)}
        onTouchMove={(event) => {
          const { scrollHeight, clientHeight, scrollTop } = event.currentTarget;
          onHand(event, scrollHeight - scrollTop - clientHeight > NEAR_END);
        }}
        onPointerDown={(event) => onHand(event, event.nativeEvent.offsetX > event.currentTarget.clientWidth)}
        onPointerMove={(event) => event.buttons > 0 && onHand(event, false)}
        onKeyDown={(event) => {
          onHand(event, ['ArrowUp', 'PageUp', 'Home'].includes(event.key));
          if (event.key === 'End') onFollow(true);
        }}
        className="mono h-full overflow-auto rounded-card border border-line bg-inset leading-[18px] -outline-offset-2 [overflow-anchor:none]"
      >
        <div ref={head}>{props.head}</div>
        {entries.length === 0 && <div className="p-3 text-muted">{props.empty}</div>}
        <div className="relative min-w-fit" style={{ height: virtualizer.getTotalSize() }}>
          {items.map((item) => {
            const entry = entries[item.index];
            return (
              entry && (
                <div
                  key={item.key}
                  data-index={item.index}
                  ref={wrap ? virtualizer.measureElement : undefined}
                  className={wrap ? 'absolute inset-x-0 top-0' : 'absolute top-0 left-0 min-w-full'}
                  style={{ transform: `translateY(${String(item.start - margin)}px)` }}
                >
                  <LogRow
                    entry={entry}
                    search={props.search}
                    current={props.currentSeq === entry.seq}
                    timestamps={props.timestamps}
                    wrap={wrap}
                  />
                </div>
              )
            );
          })}
        </div>
      </div>
      {!follow && (
        <Button
          variant="primary"
          icon={<ArrowDown size={14} aria-hidden />}
          className="absolute bottom-4 left-1/2 -translate-x-1/2 rounded-pill! shadow-raised"
          onClick={() => onFollow(true)}
        >
          {fresh > 0 ? t('newLines', { count: fresh }) : t('toEnd')}
        </Button>
      )}
    </div>
  );
}

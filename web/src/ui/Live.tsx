import { clsx } from 'clsx';
import { type ReactNode, useEffect, useRef } from 'react';

type Subscribe = (listener: () => void) => () => void;

/** Text that changes without React: reads on each change of its source and writes the text node. */
export function LiveText({
  subscribe,
  read,
  className,
}: {
  subscribe: Subscribe;
  read: () => string;
  className?: string;
}): ReactNode {
  const node = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const paint = (): void => {
      if (node.current && node.current.textContent !== read()) node.current.textContent = read();
    };
    paint();
    return subscribe(paint);
  }, [subscribe, read]);
  return <span ref={node} className={className} />;
}

type LiveMeterProps = {
  subscribe: Subscribe;
  read: () => number | null;
  label: string;
  colour: string;
  className?: string;
};

/** A bar of a share (0–100) that changes without React. */
export function LiveMeter({ subscribe, read, label, colour, className }: LiveMeterProps): ReactNode {
  const frame = useRef<HTMLDivElement>(null);
  const bar = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const paint = (): void => {
      const share = Math.max(0, Math.min(100, read() ?? 0));
      if (bar.current) {
        bar.current.style.width = `${share.toFixed(1)}%`;
        bar.current.dataset['high'] = String(share >= 90);
      }
      frame.current?.setAttribute('aria-valuenow', share.toFixed(0));
    };
    paint();
    return subscribe(paint);
  }, [subscribe, read]);
  return (
    <div
      ref={frame}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={0}
      className={clsx('h-1.5 overflow-hidden rounded-pill border border-line bg-inset', className)}
    >
      <div ref={bar} className={clsx('h-full data-[high=true]:bg-danger', colour)} />
    </div>
  );
}

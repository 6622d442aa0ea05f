import { clsx } from 'clsx';
import { type ReactNode, useEffect, useRef } from 'react';

import { sparkPaths } from './sparkline-path.ts';

/** Where a live sparkline reads from: any ring of numbers that tells when it grew. */
export type SparkSource = { values: () => readonly number[]; subscribe: (listener: () => void) => () => void };

type SparklineProps = {
  source: SparkSource;
  /** What the line shows, for people who cannot see it. */
  label: string;
  width?: number;
  height?: number;
  /** How many values fit; older ones fall out on the left. */
  capacity?: number;
  /** The value at the top edge; without it the highest shown. */
  top?: number | undefined;
  /** Without `top`: the least value that the top edge stands for. */
  floor?: number;
  /** A text colour class: the line takes `currentColor`. */
  colour?: string;
  className?: string;
};

/** A small live line. Paints itself from its source, so that React never renders for a new sample. */
export function Sparkline({
  source,
  label,
  width = 72,
  height = 20,
  capacity = 60,
  top,
  floor = 0,
  colour = 'text-accent',
  className,
}: SparklineProps): ReactNode {
  const line = useRef<SVGPathElement>(null);
  const area = useRef<SVGPathElement>(null);
  useEffect(() => {
    const paint = (): void => {
      const paths = sparkPaths(source.values(), width, height, capacity, top, floor);
      line.current?.setAttribute('d', paths.line);
      area.current?.setAttribute('d', paths.area);
    };
    paint();
    return source.subscribe(paint);
  }, [source, width, height, capacity, top, floor]);
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${width} ${height}`}
      width={width}
      height={height}
      preserveAspectRatio="none"
      className={clsx('block', colour, className)}
    >
      <path ref={area} fill="currentColor" opacity={0.18} />
      <path ref={line} fill="none" stroke="currentColor" strokeWidth={1.25} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}

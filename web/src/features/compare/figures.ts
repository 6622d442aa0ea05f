import type { CompareEngine, CompareSample, Spread } from '@/api/schema.gen.ts';

/** How two medians stand to each other, or null when the difference is within the noise. */
export type Verdict = { better: string; factor: number } | null;

type Side = { engine: string; spread: Spread };

/** Less is better. Two spreads whose middles lie within each other's range are not told apart. */
export function verdictOf(sides: readonly Side[]): Verdict {
  const [a, b] = sides;
  if (!a || !b) return null;
  const [low, high] = a.spread.median <= b.spread.median ? [a, b] : [b, a];
  const overlaps = high.spread.minimum <= low.spread.p95 && low.spread.p95 >= high.spread.median;
  const factor = low.spread.median > 0 ? high.spread.median / low.spread.median : 0;
  if (overlaps || factor < 1.1) return null;
  return { better: low.engine, factor };
}

/** The engines that have this figure. */
export function sidesOf(
  engines: readonly CompareEngine[],
  figure: (engine: CompareEngine) => Spread | null | undefined,
): readonly Side[] {
  return engines.flatMap((one) => {
    const spread = figure(one);
    return spread ? [{ engine: one.engine, spread }] : [];
  });
}

export type Dot = { value: number; row: number; engine: string; run: number };

/** Samples as dots in a row for each engine, spread a little so that equal ones can be told apart. */
export function dotsOf(
  engines: readonly CompareEngine[],
  value: (sample: CompareSample) => number | null | undefined,
): readonly { engine: string; dots: readonly Dot[] }[] {
  return engines
    .filter((one) => one.samples.length > 0)
    .map((one, index) => ({
      engine: one.engine,
      dots: one.samples.flatMap((sample) => {
        const number = value(sample);
        // A fixed pattern instead of chance: the same result looks the same each time.
        const jitter = (((sample.run * 7) % 11) / 11 - 0.5) * 0.5;
        return number === null || number === undefined || number <= 0
          ? []
          : [{ value: number, row: index + 1 + jitter, engine: one.engine, run: sample.run }];
      }),
    }));
}

/**
 * Round values on a logarithmic axis: 1, 2 and 5 of each power of ten (of two for bytes), fewer when these would be
 * many, evenly spaced ones when the axis is so short that there are none.
 */
export function logTicks(least: number, most: number, base: 2 | 10): readonly number[] {
  const steps = base === 10 ? [1, 2, 5] : [1];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log(least) / Math.log(base)); base ** power <= most; power += 1)
    for (const step of steps) ticks.push(step * base ** power);
  const shown = ticks.filter((value) => value >= least && value <= most);
  if (shown.length > 7) return shown.filter((_, index) => index % Math.ceil(shown.length / 6) === 0);
  if (shown.length > 1) return shown;
  const step = base ** Math.floor(Math.log(most - least) / Math.log(base));
  const first = Math.ceil(least / step);
  return Array.from({ length: Math.floor(most / step) - first + 1 }, (_, index) => (first + index) * step);
}

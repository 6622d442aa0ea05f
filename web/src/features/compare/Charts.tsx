import type { ReactNode } from 'react';
import {
  Bar,
  BarChart,
  CartesianGrid,
  ErrorBar,
  Legend,
  ReferenceLine,
  ResponsiveContainer,
  Scatter,
  ScatterChart,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts';

import type { CompareEngine, CompareSample, Spread } from '@/api/schema.gen.ts';
import { bytes, milliseconds } from '@/lib/format.ts';
import { Card } from '@/ui/Card.tsx';
import { engineColour, engineName } from '@/ui/EngineMark.tsx';

import { dotsOf, logTicks } from './figures.ts';
import { t } from './messages.ts';

const TICK = { fill: 'var(--subtle)', fontSize: 11 };
const TOOLTIP = {
  isAnimationActive: false,
  contentStyle: {
    background: 'var(--raised)',
    border: '1px solid var(--line)',
    borderRadius: 4,
    color: 'var(--fg)',
    fontSize: 12,
  },
  itemStyle: { color: 'var(--fg)' },
} as const;

type StripProps = {
  title: string;
  note?: string;
  engines: readonly CompareEngine[];
  value: (sample: CompareSample) => number | null | undefined;
  spread: (engine: CompareEngine) => Spread | null | undefined;
  format: (value: number) => string;
  /** Round numbers are powers of this: two for bytes. */
  base?: 2 | 10;
};

/** Every run as a dot, one row for each engine, on one logarithmic scale. */
export function Strip({ title, note, engines, value, spread, format, base = 10 }: StripProps): ReactNode {
  const rows = dotsOf(engines, value);
  const values = rows.flatMap(({ dots }) => dots.map((dot) => dot.value));
  if (values.length === 0) return null;
  const least = Math.min(...values) / 1.3;
  const most = Math.max(...values) * 1.3;
  const height = 60 + rows.length * 56;
  const words = engines.flatMap((one) => {
    const figures = spread(one);
    return figures
      ? [
          t('spread', {
            engine: engineName(one.engine),
            median: format(figures.median),
            least: format(figures.minimum),
            most: format(figures.maximum),
          }),
        ]
      : [];
  });
  return (
    <Card title={title} note={note}>
      <p className="sr-only">{words.join('. ')}</p>
      <div role="img" aria-label={title} style={{ height }}>
        <ResponsiveContainer width="100%" height={height}>
          <ScatterChart margin={{ top: 8, right: 16, bottom: 4, left: 0 }} accessibilityLayer={false}>
            <CartesianGrid stroke="var(--line)" horizontal={false} />
            <XAxis
              type="number"
              dataKey="value"
              scale="log"
              domain={[least, most]}
              allowDataOverflow
              tickFormatter={format}
              tick={TICK}
              stroke="var(--line)"
              ticks={[...logTicks(least, most, base)]}
            />
            <YAxis
              type="number"
              dataKey="row"
              domain={[0.4, rows.length + 0.6]}
              ticks={rows.map((_, index) => index + 1)}
              tickFormatter={(row: number) => engineName(rows[row - 1]?.engine ?? '')}
              tick={{ fill: 'var(--muted)', fontSize: 12 }}
              stroke="var(--line)"
              width={64}
              reversed
            />
            <Tooltip
              {...TOOLTIP}
              cursor={false}
              formatter={(shown, name) => (name === 'value' ? [format(Number(shown)), title] : [null, null])}
            />
            {rows.map(({ engine, dots }) => (
              <Scatter
                key={engine}
                name={engineName(engine)}
                data={[...dots]}
                fill={engineColour(engine)}
                fillOpacity={0.65}
                isAnimationActive={false}
              />
            ))}
            {rows.map(({ engine }, index) => {
              const median = engines
                .map((one) => (one.engine === engine ? spread(one)?.median : undefined))
                .find((one) => one !== undefined);
              return (
                median !== undefined && (
                  <ReferenceLine
                    key={engine}
                    segment={[
                      { x: median, y: index + 0.65 },
                      { x: median, y: index + 1.35 },
                    ]}
                    stroke="var(--fg)"
                    strokeWidth={2}
                  />
                )
              );
            })}
          </ScatterChart>
        </ResponsiveContainer>
      </div>
    </Card>
  );
}

const PHASES = [
  { id: 'create', spread: (one: CompareEngine) => one.create_ms },
  { id: 'start', spread: (one: CompareEngine) => one.start_ms },
  { id: 'run', spread: (one: CompareEngine) => one.run_ms },
  { id: 'remove', spread: (one: CompareEngine) => one.remove_ms },
] as const;

/** How long each step takes on each engine. */
export function Phases({ engines }: { engines: readonly CompareEngine[] }): ReactNode {
  const taking = engines.filter((one) => one.run_ms);
  if (taking.length === 0) return null;
  const data = PHASES.map(({ id, spread }) => {
    const row: Record<string, string | number | [number, number]> = { phase: t(`phase_${id}`) };
    for (const one of taking) {
      const figures = spread(one);
      if (!figures) continue;
      row[one.engine] = figures.median;
      row[`${one.engine}Spread`] = [figures.median - figures.minimum, figures.p95 - figures.median];
    }
    return row;
  });
  const words = PHASES.flatMap(({ id, spread }) =>
    taking.flatMap((one) => {
      const figures = spread(one);
      return figures ? [`${t(`phase_${id}`)}, ${engineName(one.engine)}: ${milliseconds(figures.median)}`] : [];
    }),
  );
  const height = 240;
  return (
    <Card title={t('phases')} note={t('phasesNote')}>
      <p className="sr-only">{words.join('. ')}</p>
      <div role="img" aria-label={t('phases')} style={{ height }}>
        <ResponsiveContainer width="100%" height={height}>
          <BarChart data={data} margin={{ top: 8, right: 8, bottom: 0, left: 0 }} accessibilityLayer={false}>
            <CartesianGrid stroke="var(--line)" vertical={false} />
            <XAxis dataKey="phase" tick={TICK} stroke="var(--line)" />
            <YAxis width={64} tickFormatter={milliseconds} tick={TICK} stroke="var(--line)" />
            <Tooltip
              {...TOOLTIP}
              cursor={{ fill: 'var(--raised)' }}
              formatter={(shown, name) => [milliseconds(Number(shown)), name]}
            />
            <Legend wrapperStyle={{ fontSize: 12 }} />
            {taking.map((one) => (
              <Bar
                key={one.engine}
                dataKey={one.engine}
                name={engineName(one.engine)}
                fill={engineColour(one.engine)}
                isAnimationActive={false}
                maxBarSize={36}
              >
                <ErrorBar
                  dataKey={`${one.engine}Spread`}
                  stroke="var(--muted)"
                  width={4}
                  strokeWidth={1}
                  isAnimationActive={false}
                />
              </Bar>
            ))}
          </BarChart>
        </ResponsiveContainer>
      </div>
    </Card>
  );
}

/** The memory of each run. */
export function MemoryStrip({ engines }: { engines: readonly CompareEngine[] }): ReactNode {
  return (
    <Strip
      title={t('memory')}
      engines={engines}
      value={(sample) => sample.memory_peak_bytes}
      spread={(one) => one.memory_peak_bytes}
      format={bytes}
      base={2}
    />
  );
}

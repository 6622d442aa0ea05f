import type { ReactNode } from 'react';
import { Area, AreaChart, CartesianGrid, ReferenceLine, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';

import type { StatsPoint } from '@/api/schema.gen.ts';
import { number, timeOfDay } from '@/lib/format.ts';
import { Card } from '@/ui/Card.tsx';

import { t } from './messages.ts';
import { type ChartSpec, digest, timeTicks, valueTicks } from './series.ts';

const HEIGHT = 176;
const TICK = { fill: 'var(--subtle)', fontSize: 11 };

/** One chart with its legend and, for people who do not see it, its figures in words. */
export function StatsChart({
  spec,
  points,
  rangeS,
  to,
}: {
  spec: ChartSpec;
  points: readonly StatsPoint[];
  rangeS: number;
  to: number;
}): ReactNode {
  const last = points.at(-1);
  const limit = (last && spec.limit?.(last)) ?? null;
  const shown = spec.series.flatMap((series) => {
    const figures = digest(points, series.value);
    return figures ? [{ ...series, figures }] : [];
  });
  const data = points.map((point) => ({
    time: point.time_ms,
    ...Object.fromEntries(shown.map((series) => [series.id, series.value(point)])),
  }));
  const most = Math.max(...shown.map(({ figures }) => figures.most), 0);
  // A limit close above the line belongs into the picture; one far above would press the line flat.
  const ticks = valueTicks(spec.unit, limit !== null && limit <= most * 2 ? Math.max(most, limit) : most);
  const summary = shown
    .map(({ name, figures }) =>
      t('summary', {
        name,
        now: spec.format(figures.now),
        mean: spec.format(figures.mean),
        most: spec.format(figures.most),
      }),
    )
    .join('. ');
  return (
    <Card
      title={spec.title}
      note={limit !== null && t('limit', { value: spec.format(limit) })}
      actions={shown.map(({ id, name, colour, figures }) => (
        <span key={id} className="flex items-center gap-1.5 text-xs text-muted">
          <span aria-hidden className="h-0.5 w-3" style={{ background: colour }} />
          {name} <strong className="font-semibold text-fg">{spec.format(figures.now)}</strong>
        </span>
      ))}
    >
      <p className="sr-only">{summary}</p>
      <div role="img" aria-label={t('chartOf', { title: spec.title })} style={{ height: HEIGHT }}>
        <ResponsiveContainer width="100%" height={HEIGHT}>
          <AreaChart
            data={data}
            syncId="stats"
            margin={{ top: 8, right: 4, bottom: 0, left: 0 }}
            accessibilityLayer={false}
          >
            <CartesianGrid stroke="var(--line)" vertical={false} />
            <XAxis
              dataKey="time"
              type="number"
              scale="time"
              domain={[to - rangeS * 1000, to]}
              ticks={[...timeTicks(to, rangeS)]}
              tickFormatter={(time: number) => timeOfDay(time).slice(0, 5)}
              tick={TICK}
              stroke="var(--line)"
              minTickGap={24}
            />
            <YAxis
              width={72}
              domain={[0, ticks.at(-1) ?? 1]}
              ticks={[...ticks]}
              interval={0}
              tickFormatter={spec.unit === 'percent' ? (value: number) => `${number(value)} %` : spec.format}
              tick={TICK}
              stroke="var(--line)"
            />
            <Tooltip
              isAnimationActive={false}
              cursor={{ stroke: 'var(--line-strong)' }}
              contentStyle={{
                background: 'var(--raised)',
                border: '1px solid var(--line)',
                borderRadius: 4,
                color: 'var(--fg)',
                fontSize: 12,
              }}
              labelFormatter={(label) => timeOfDay(Number(label))}
              formatter={(value, name) => [spec.format(Number(value)), name]}
            />
            {shown.map(({ id, name, colour }, index) => (
              <Area
                key={id}
                dataKey={id}
                name={name}
                type="linear"
                stroke={colour}
                fill={colour}
                fillOpacity={index === 0 ? 0.18 : 0.06}
                {...(index > 0 ? { strokeDasharray: '4 2' } : {})}
                dot={false}
                isAnimationActive={false}
              />
            ))}
            {limit !== null && (
              <ReferenceLine y={limit} stroke="var(--danger)" strokeDasharray="2 3" ifOverflow="hidden" />
            )}
          </AreaChart>
        </ResponsiveContainer>
      </div>
    </Card>
  );
}

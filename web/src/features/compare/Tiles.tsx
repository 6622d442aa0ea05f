import type { ReactNode } from 'react';

import type { CompareEngine, Spread } from '@/api/schema.gen.ts';
import { bytes, milliseconds, number } from '@/lib/format.ts';
import { engineName } from '@/ui/EngineMark.tsx';

import { sidesOf, verdictOf } from './figures.ts';
import { t } from './messages.ts';

function single(value: number | null | undefined): Spread | null {
  return value === null || value === undefined ? null : { minimum: value, median: value, p95: value, maximum: value };
}

/** The four figures that people ask for, side by side, with what they say in words. */
export function Tiles({ engines }: { engines: readonly CompareEngine[] }): ReactNode {
  return (
    <div className="grid gap-3 sm:grid-cols-2 xl:grid-cols-4">
      <Tile title={t('tileRun')} engines={engines} figure={(one) => one.run_ms} format={milliseconds} word="faster" />
      <Tile
        title={t('tileTotal')}
        engines={engines}
        figure={(one) => one.total_ms}
        format={milliseconds}
        word="faster"
      />
      <Tile
        title={t('tileMemory')}
        engines={engines}
        figure={(one) => one.memory_peak_bytes}
        format={bytes}
        word="less"
      />
      <Tile
        title={t('tileEngine')}
        engines={engines}
        figure={(one) => single(one.engine_memory_bytes)}
        format={bytes}
        word="less"
        note={engines.map((one) => one.engine_memory_note).find(Boolean)}
      />
    </div>
  );
}

type TileProps = {
  title: string;
  engines: readonly CompareEngine[];
  figure: (engine: CompareEngine) => Spread | null | undefined;
  format: (value: number) => string;
  word: 'faster' | 'less';
  note?: string | null | undefined;
};

function Tile({ title, engines, figure, format, word, note }: TileProps): ReactNode {
  const sides = sidesOf(engines, figure);
  const verdict = verdictOf(sides);
  const text = verdict
    ? t(word, { engine: engineName(verdict.better), factor: number(verdict.factor, verdict.factor < 10 ? 1 : 0) })
    : sides.length > 1
      ? t('same')
      : t('notTold');
  return (
    <section
      aria-label={title}
      title={note ?? undefined}
      className="rounded-card border border-line bg-surface px-4 py-3"
    >
      <h2 className="text-muted">{title}</h2>
      <dl className="mt-1 flex flex-wrap gap-x-6">
        {engines.map((one) => {
          const spread = figure(one);
          return (
            <div key={one.engine}>
              <dt className={one.engine === 'mini' ? 'text-xs text-mini' : 'text-xs text-docker'}>
                {engineName(one.engine)}
              </dt>
              <dd className="text-xl font-semibold">{spread ? format(spread.median) : '–'}</dd>
            </div>
          );
        })}
      </dl>
      <p className="mt-1 text-xs text-subtle">{text}</p>
    </section>
  );
}

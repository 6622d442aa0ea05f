import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useCallback, useEffect } from 'react';

import { api, unwrap } from '@/api/client.ts';
import type { ContainerSummary, StatsPoint } from '@/api/schema.gen.ts';
import { bytes, number, percent, rate } from '@/lib/format.ts';
import type { ContainerFigures } from '@/live/figures.ts';
import { statsFeed, useStatsFeeds } from '@/live/stores.ts';
import { Card } from '@/ui/Card.tsx';
import { LiveText } from '@/ui/Live.tsx';
import { Sparkline } from '@/ui/Sparkline.tsx';

import { t } from './messages.ts';

const SHOWN = 120;

type Reader = (point: StatsPoint) => string;

function notes(point: StatsPoint): { cpu: string; memory: string } {
  const cores = point.cpu_limit_percent ? t('ofCores', { cores: number(point.cpu_limit_percent / 100, 2) }) : '';
  const throttled = point.cpu_throttled_percent
    ? t('throttled', { percent: percent(point.cpu_throttled_percent) })
    : '';
  return {
    cpu: [cores, throttled].filter(Boolean).join(' · '),
    memory: point.memory_limit_bytes ? t('ofLimit', { limit: bytes(point.memory_limit_bytes) }) : t('noLimit'),
  };
}

/** Four live figures with their last two minutes. */
export function LiveFigures({ container }: { container: ContainerSummary }): ReactNode {
  const { engine, id } = container;
  useStatsFeeds([engine]);
  const figures = statsFeed(engine).of(id);
  const { data } = useQuery({
    queryKey: [engine, 'containers', id, 'stats', SHOWN],
    queryFn: () =>
      unwrap(
        api.GET('/api/v1/engines/{engine}/containers/{container}/stats', {
          params: { path: { engine, container: id }, query: { range_s: SHOWN, points: SHOWN } },
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  useEffect(() => {
    if (data) figures.seed(data.points);
  }, [data, figures]);
  if (container.state !== 'running' && container.state !== 'paused') return null;
  const limit = container.memory_limit_bytes ?? undefined;
  return (
    <div className="grid gap-3 sm:grid-cols-2 xl:grid-cols-4">
      <Figure
        title={t('cpu')}
        figures={figures}
        series="cpu"
        label={t('cpuLine')}
        colour="text-series-1"
        value={(point) => percent(point.cpu_percent)}
        note={(point) => notes(point).cpu}
      />
      <Figure
        title={t('memory')}
        figures={figures}
        series="memory"
        label={t('memoryLine')}
        colour="text-series-2"
        top={limit}
        value={(point) => bytes(point.memory_working_set_bytes)}
        note={(point) => notes(point).memory}
      />
      <Figure
        title={t('network')}
        figures={figures}
        series="network"
        label={t('networkLine')}
        colour="text-series-4"
        value={(point) => rate((point.network_receive_bytes_per_s ?? 0) + (point.network_transmit_bytes_per_s ?? 0))}
        note={(point) =>
          t('inOut', { in: rate(point.network_receive_bytes_per_s), out: rate(point.network_transmit_bytes_per_s) })
        }
      />
      <Figure
        title={t('disk')}
        figures={figures}
        series="disk"
        label={t('diskLine')}
        colour="text-series-3"
        value={(point) => rate(point.block_read_bytes_per_s + point.block_write_bytes_per_s)}
        note={(point) =>
          t('readWrite', { read: rate(point.block_read_bytes_per_s), write: rate(point.block_write_bytes_per_s) })
        }
      />
    </div>
  );
}

type FigureProps = {
  title: string;
  figures: ContainerFigures;
  series: string;
  label: string;
  colour: string;
  top?: number | undefined;
  value: Reader;
  note: Reader;
};

function Figure({ title, figures, series, label, colour, top, value, note }: FigureProps): ReactNode {
  const readValue = useCallback(() => (figures.last ? value(figures.last) : '–'), [figures, value]);
  const readNote = useCallback(() => (figures.last ? note(figures.last) : ''), [figures, note]);
  return (
    <Card
      title={title}
      actions={<LiveText subscribe={figures.subscribe} read={readValue} className="text-lg font-semibold" />}
    >
      <LiveText subscribe={figures.subscribe} read={readNote} className="block h-4 truncate text-xs text-subtle" />
      <Sparkline
        source={figures.source(series)}
        label={label}
        width={240}
        height={44}
        capacity={SHOWN}
        top={top}
        colour={colour}
        className="mt-2 w-full"
      />
    </Card>
  );
}

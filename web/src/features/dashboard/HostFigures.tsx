import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useCallback, useEffect } from 'react';

import { api, unwrap } from '@/api/client.ts';
import type { HostFigures as Figures } from '@/api/schema.gen.ts';
import { bytes, bytesOf, number, percent, rate } from '@/lib/format.ts';
import { hostFeed, useHostFeed } from '@/live/stores.ts';
import { Card } from '@/ui/Card.tsx';
import { LiveText } from '@/ui/Live.tsx';
import { Sparkline } from '@/ui/Sparkline.tsx';

import { t } from './messages.ts';

const SHOWN = 120;
const historyQuery = {
  queryKey: ['server', 'host', 'history'],
  queryFn: () => unwrap(api.GET('/api/v1/host/history', { params: { query: { range_s: SHOWN, points: SHOWN } } })),
  staleTime: Number.POSITIVE_INFINITY,
  gcTime: 0,
};

/** The disk that matters most here: the fullest. */
function fullest({ disks }: Figures): Figures['disks'][number] | undefined {
  return disks.toSorted((a, b) => b.used_bytes / b.total_bytes - a.used_bytes / a.total_bytes)[0];
}

function traffic({ networks }: Figures): { receive: number; transmit: number } {
  let receive = 0;
  let transmit = 0;
  for (const one of networks) {
    receive += one.receive_bytes_per_s;
    transmit += one.transmit_bytes_per_s;
  }
  return { receive, transmit };
}

const READ = {
  cpu: (host: Figures) => percent(host.cpu_percent),
  cpuNote: (host: Figures) => t('cpuNote', { cores: host.cpu_per_core_percent.length, load: number(host.load_1m, 2) }),
  memory: (host: Figures) => bytesOf(host.memory_used_bytes, host.memory_total_bytes),
  memoryNote: (host: Figures) =>
    t('memoryNote', { cache: bytes(host.memory_cache_bytes), swap: bytes(host.swap_used_bytes) }),
  disk: (host: Figures) => {
    const disk = fullest(host);
    return disk ? percent((disk.used_bytes / (disk.used_bytes + disk.available_bytes)) * 100) : '–';
  },
  diskNote: (host: Figures) => {
    const moved = host.disks.reduce((sum, disk) => sum + disk.read_bytes_per_s + disk.write_bytes_per_s, 0);
    return t('diskNote', { mount: fullest(host)?.mount_point ?? '', rate: rate(moved) });
  },
  network: (host: Figures) => rate(traffic(host).receive + traffic(host).transmit),
  networkNote: (host: Figures) =>
    t('networkNote', { in: rate(traffic(host).receive), out: rate(traffic(host).transmit) }),
} as const;

/** The machine's four figures, live, with the last two minutes. */
export function HostFigures(): ReactNode {
  useHostFeed();
  const { data } = useQuery(historyQuery);
  useEffect(() => {
    if (data) hostFeed.seed(data.points);
  }, [data]);
  return (
    <section aria-label={t('hostTitle')} className="grid gap-3 sm:grid-cols-2 lg:grid-cols-4">
      <Figure
        title={t('cpu')}
        series="cpu"
        label={t('cpuLine')}
        colour="text-series-1"
        top={100}
        value={READ.cpu}
        note={READ.cpuNote}
      />
      <Figure
        title={t('memory')}
        series="memory"
        label={t('memoryLine')}
        colour="text-series-2"
        top="memory"
        value={READ.memory}
        note={READ.memoryNote}
      />
      <Figure
        title={t('disk')}
        series="disk"
        label={t('diskLine')}
        colour="text-series-3"
        value={READ.disk}
        note={READ.diskNote}
      />
      <Figure
        title={t('network')}
        series="network"
        label={t('networkLine')}
        colour="text-series-4"
        value={READ.network}
        note={READ.networkNote}
      />
    </section>
  );
}

type Reader = (host: Figures) => string;
type FigureProps = {
  title: string;
  series: string;
  label: string;
  colour: string;
  top?: number | 'memory';
  value: Reader;
  note: Reader;
};

function Figure({ title, series, label, colour, top, value, note }: FigureProps): ReactNode {
  const host = hostFeed.series;
  const readValue = useCallback(() => (host.last ? value(host.last) : '–'), [host, value]);
  const readNote = useCallback(() => (host.last ? note(host.last) : ''), [host, note]);
  const { data } = useQuery(historyQuery);
  const total = data?.points.at(-1)?.memory_total_bytes;
  return (
    <Card
      title={title}
      actions={<LiveText subscribe={host.subscribe} read={readValue} className="text-lg font-semibold" />}
    >
      <LiveText subscribe={host.subscribe} read={readNote} className="block h-4 truncate text-xs text-subtle" />
      <Sparkline
        source={host.source(series)}
        label={label}
        width={240}
        height={44}
        capacity={SHOWN}
        top={top === 'memory' ? total : top}
        colour={colour}
        className="mt-2 w-full"
      />
    </Card>
  );
}

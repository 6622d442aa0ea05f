import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';

import { api, unwrap } from '@/api/client.ts';
import type { FigureSource, StatsPoint } from '@/api/schema.gen.ts';
import { statsFeed, useStatsFeeds } from '@/live/stores.ts';

import { joined } from './series.ts';

/** More points than pixels help nobody; the server makes fewer of many. */
const POINTS = 300;

/** The figures of a range up to now: what the server has kept, and each new sample. */
export function useStats(
  engine: string,
  container: string,
  rangeS: number,
): {
  points: readonly StatsPoint[];
  source: FigureSource | undefined;
  ready: boolean;
  error: Error | null;
  reload: () => void;
} {
  const [fresh, setFresh] = useState<readonly StatsPoint[]>([]);
  useStatsFeeds([engine]);
  const { data, error, refetch } = useQuery({
    queryKey: [engine, 'containers', container, 'stats', rangeS],
    queryFn: () =>
      unwrap(
        api.GET('/api/v1/engines/{engine}/containers/{container}/stats', {
          params: { path: { engine, container }, query: { range_s: rangeS, points: POINTS } },
        }),
      ),
    // A long range moves slowly: its points are far apart.
    refetchInterval: rangeS > POINTS ? (rangeS / POINTS) * 1000 : false,
    staleTime: 0,
    gcTime: 0,
  });
  useEffect(() => {
    const figures = statsFeed(engine).of(container);
    setFresh([]);
    return figures.subscribe(() => {
      const { last } = figures;
      if (!last) return;
      setFresh((before) => (before.at(-1)?.time_ms === last.time_ms ? before : [...before.slice(-(POINTS - 1)), last]));
    });
  }, [engine, container]);
  // Between two far points of a long range a second more shows nothing.
  const points = joined(data?.points ?? [], rangeS > POINTS ? fresh.slice(-1) : fresh, rangeS);
  return { points, source: data?.source, ready: data !== undefined, error, reload: () => void refetch() };
}

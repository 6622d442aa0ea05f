import { queryOptions } from '@tanstack/react-query';

import { api, unwrap } from './client.ts';

// Keys are [engine, resource, id?, parameters?]; what belongs to no engine is under 'server'.

export const sessionQuery = queryOptions({
  queryKey: ['server', 'session'],
  queryFn: () => unwrap(api.GET('/api/v1/auth/session')),
  staleTime: Number.POSITIVE_INFINITY,
});

export const capabilitiesQuery = queryOptions({
  queryKey: ['server', 'capabilities'],
  queryFn: () => unwrap(api.GET('/api/v1/capabilities')),
  staleTime: 60_000,
});

export function containerQuery(engine: string, container: string) {
  return queryOptions({
    queryKey: [engine, 'containers', container],
    queryFn: () =>
      unwrap(api.GET('/api/v1/engines/{engine}/containers/{container}', { params: { path: { engine, container } } })),
  });
}

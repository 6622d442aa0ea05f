import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useSyncExternalStore } from 'react';

import { containerList } from '@/live/stores.ts';

import { containerQuery } from './queries.ts';
import type { ContainerDetail, ContainerSummary } from './schema.gen.ts';

/** What of the list makes facts old that were read before. */
function versionOf({ state, name, started_at: started, finished_at: finished, health }: ContainerSummary): string {
  return JSON.stringify([state, name, started, finished, health]);
}

/** Everything of one container: the facts by request, its state by the live list, which also refreshes the facts. */
export function useContainer(
  engine: string,
  id: string,
): {
  detail: ContainerDetail | undefined;
  summary: ContainerSummary | undefined;
  error: Error | null;
  gone: boolean;
  reload: () => void;
} {
  const client = useQueryClient();
  const query = useQuery(containerQuery(engine, id));
  const list = containerList(engine);
  const { ready } = useSyncExternalStore(list.subscribe, list.get);
  const fullId = query.data?.summary.id ?? id;
  const listed = list.find(fullId);
  const summary = listed ?? query.data?.summary;
  // A removed container leaves the list; the facts of it stay on the page until one leaves.
  const gone = ready && query.data !== undefined && listed === undefined;
  const version = listed && versionOf(listed);
  const seen = useRef(version);
  useEffect(() => {
    const before = seen.current;
    seen.current = version;
    // A container that is being removed has no facts to read any more.
    if (!version || listed?.state === 'removing') return;
    // Facts kept from an earlier visit may be older than the list that comes now. A change seen here is read anew in any
    // case: the answer to an act may have come while the server still gathered what the change means.
    const facts = client.getQueryData(containerQuery(engine, id).queryKey);
    const known = before ?? (facts && versionOf(facts.summary)) ?? version;
    if (known !== version) void client.invalidateQueries({ queryKey: containerQuery(engine, id).queryKey });
  }, [client, engine, id, version, listed?.state]);
  return { detail: query.data, summary, error: query.error, gone, reload: () => void query.refetch() };
}

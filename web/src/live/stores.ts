import { useEffect, useMemo, useSyncExternalStore } from 'react';

import type {
  ContainerSummary,
  EngineEvent,
  EngineInfo,
  EventsSnapshot,
  ImageSummary,
  Job,
  Topic,
  VolumeSummary,
} from '@/api/schema.gen.ts';

import { HostFeed, StatsFeed } from './figures.ts';
import { LiveSocket } from './socket.ts';
import { type ListState, TopicList } from './topic-list.ts';
import { trust } from './wire.ts';

let onUnauthenticated: () => void = () => undefined;

export function setLiveUnauthenticatedHandler(handler: () => void): void {
  onUnauthenticated = handler;
}

/** The connection of this tab. Lives outside React, so that no render can open a second one. */
export const live = new LiveSocket({
  connect: () => new WebSocket(`${window.location.origin.replace(/^http/, 'ws')}/api/v1/live`),
  onUnauthenticated: () => onUnauthenticated(),
});

function perEngine<V>(make: (engine: string) => V): (engine: string) => V {
  const made = new Map<string, V>();
  return (engine) => {
    let value = made.get(engine);
    if (value === undefined) {
      value = make(engine);
      made.set(engine, value);
    }
    return value;
  };
}

type EngineTopic = Extract<Topic, { args: { engine: string }; topic: 'containers' | 'images' | 'volumes' }>['topic'];

function listPerEngine<T>(topic: EngineTopic, keyOf: (item: T) => string): (engine: string) => TopicList<T> {
  return perEngine((engine) => new TopicList<T>(live, { topic, args: { engine } }, keyOf));
}

export const engineList = new TopicList<EngineInfo>(live, { topic: 'engines', args: {} }, (one) => one.name);
export const jobList = new TopicList<Job>(live, { topic: 'jobs', args: {} }, (job) => job.id);
export const containerList = listPerEngine<ContainerSummary>('containers', (one) => one.id);
export const imageList = listPerEngine<ImageSummary>('images', (image) => image.id);
export const volumeList = listPerEngine<VolumeSummary>('volumes', (volume) => volume.name);
export const statsFeed = perEngine((engine) => new StatsFeed(live, engine));
export const hostFeed = new HostFeed(live);

export function useList<T>(list: TopicList<T>): ListState<T> {
  return useSyncExternalStore(list.subscribe, list.get);
}

/** Several lists as one: ready when all are, stale when any is. */
function combine<T>(lists: readonly TopicList<T>[]): {
  subscribe: (reader: () => void) => () => void;
  get: () => ListState<T>;
} {
  let parts: readonly ListState<T>[] = [];
  let whole: ListState<T> = { items: [], ready: lists.length === 0, stale: false, error: null };
  return {
    subscribe: (reader) => {
      const ends = lists.map((list) => list.subscribe(reader));
      return () => {
        for (const end of ends) end();
      };
    },
    get: () => {
      const now = lists.map((list) => list.get());
      if (now.length !== parts.length || now.some((part, index) => part !== parts[index])) {
        parts = now;
        whole = {
          items: now.flatMap((part) => part.items),
          ready: now.every((part) => part.ready),
          stale: now.some((part) => part.stale),
          error: now.find((part) => part.error)?.error ?? null,
        };
      }
      return whole;
    },
  };
}

function useCombined<T>(engines: readonly string[], of: (engine: string) => TopicList<T>): ListState<T> {
  const key = engines.join(',');
  const store = useMemo(() => combine(key ? key.split(',').map((engine) => of(engine)) : []), [key, of]);
  return useSyncExternalStore(store.subscribe, store.get);
}

export const useEngines = (): ListState<EngineInfo> => useList(engineList);
export const useJobs = (): ListState<Job> => useList(jobList);
export const useContainers = (engines: readonly string[]): ListState<ContainerSummary> =>
  useCombined(engines, containerList);
export const useImages = (engines: readonly string[]): ListState<ImageSummary> => useCombined(engines, imageList);
export const useVolumes = (engines: readonly string[]): ListState<VolumeSummary> => useCombined(engines, volumeList);

/** Keeps the figures of these engines' containers coming while the component is mounted. */
export function useStatsFeeds(engines: readonly string[]): void {
  const key = engines.join(',');
  useEffect(() => {
    const ends = (key ? key.split(',') : []).map((engine) => statsFeed(engine).use());
    return () => {
      for (const end of ends) end();
    };
  }, [key]);
}

export function useHostFeed(): void {
  useEffect(() => hostFeed.use(), []);
}

const EVENTS_KEPT = 200;

/** Tells of the events of these engines as they come; `fresh` starts an engine's list anew. */
export function watchEvents(
  engines: readonly string[],
  onEvents: (engine: string, events: readonly EngineEvent[], fresh: boolean) => void,
): () => void {
  const subscriptions = engines.map((engine) => {
    const take = (data: unknown, fresh: boolean): void =>
      onEvents(engine, trust<EventsSnapshot>(data).events.slice(-EVENTS_KEPT), fresh);
    return live.subscribe(() => ({ topic: 'events', args: { engine } }), {
      onSnap: (data) => take(data, true),
      onDelta: (data) => take(data, false),
    });
  });
  return () => {
    for (const subscription of subscriptions) subscription.close();
  };
}

import type { ContainerSummary, StatsPoint } from './api/schema.gen.ts';

/** A running container for unit tests; say what matters to the test. */
export function container(facts: Partial<ContainerSummary> = {}): ContainerSummary {
  return {
    id: 'c0ffee'.padEnd(64, '0'),
    name: 'web',
    engine: 'docker',
    image: 'shop/web:2.4',
    image_id: 'sha256:00',
    command: 'serve',
    state: 'running',
    state_text: 'Running',
    oom_killed: false,
    restart_count: 0,
    labels: {},
    networks: [],
    ports: [],
    volumes: [],
    ...facts,
  };
}

/** A sample of a container, second `time` of the test's clock. */
export function point(time: number, facts: Partial<StatsPoint> = {}): StatsPoint {
  return {
    time_ms: time * 1000,
    cpu_percent: 1,
    memory_usage_bytes: 0,
    memory_working_set_bytes: 0,
    memory_cache_bytes: 0,
    block_read_bytes_per_s: 0,
    block_write_bytes_per_s: 0,
    pids: 1,
    ...facts,
  };
}

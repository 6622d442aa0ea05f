import { type ReactNode, useCallback } from 'react';

import type { ContainerSummary } from '@/api/schema.gen.ts';
import { bytes, bytesOf, percent } from '@/lib/format.ts';
import { statsFeed } from '@/live/stores.ts';
import { LiveMeter, LiveText } from '@/ui/Live.tsx';
import { Sparkline } from '@/ui/Sparkline.tsx';
import { Ago, Since } from '@/ui/Time.tsx';

import { t } from './messages.ts';

function engineText(engine: string): string {
  return engine === 'mini' ? 'text-mini' : 'text-docker';
}

/** What has ended takes nothing: its last figures are no longer true. */
function hasFigures({ state }: ContainerSummary): boolean {
  return state === 'running' || state === 'paused';
}

const NOTHING = <span className="flex justify-end text-muted">–</span>;

export function CpuCell({ container }: { container: ContainerSummary }): ReactNode {
  return hasFigures(container) ? <LiveCpu container={container} /> : NOTHING;
}

export function MemoryCell({ container }: { container: ContainerSummary }): ReactNode {
  return hasFigures(container) ? <LiveMemory container={container} /> : NOTHING;
}

function LiveCpu({ container: { engine, id, name } }: { container: ContainerSummary }): ReactNode {
  const figures = statsFeed(engine).of(id);
  const read = useCallback(() => percent(figures.last?.cpu_percent), [figures]);
  return (
    <span className="flex items-center justify-between gap-2">
      <Sparkline
        source={figures.source('cpu')}
        label={t('cpuOf', { name })}
        colour={engineText(engine)}
        floor={10}
        width={56}
        className="w-14 max-lg:hidden"
      />
      <LiveText subscribe={figures.subscribe} read={read} className="ml-auto" />
    </span>
  );
}

function LiveMemory({ container }: { container: ContainerSummary }): ReactNode {
  const { engine, id, name, memory_limit_bytes: declared } = container;
  const figures = statsFeed(engine).of(id);
  const read = useCallback(() => {
    const point = figures.last;
    if (!point) return '–';
    const limit = point.memory_limit_bytes ?? declared;
    return limit ? bytesOf(point.memory_working_set_bytes, limit) : bytes(point.memory_working_set_bytes);
  }, [figures, declared]);
  const share = useCallback(() => {
    const limit = figures.last?.memory_limit_bytes ?? declared;
    return figures.last && limit ? (figures.last.memory_working_set_bytes / limit) * 100 : null;
  }, [figures, declared]);
  return (
    <span className="flex items-center justify-between gap-2">
      {declared ? (
        <LiveMeter
          subscribe={figures.subscribe}
          read={share}
          label={t('memoryOf', { name })}
          colour={engine === 'mini' ? 'bg-mini' : 'bg-docker'}
          className="w-11 shrink-0 max-lg:hidden"
        />
      ) : (
        <Sparkline
          source={figures.source('memory')}
          label={t('memoryLineOf', { name })}
          colour={engineText(engine)}
          width={44}
          className="w-11 shrink-0 max-lg:hidden"
        />
      )}
      <LiveText subscribe={figures.subscribe} read={read} className="ml-auto truncate text-muted" />
    </span>
  );
}

function address(hostIp: string | null | undefined): string {
  return !hostIp || hostIp === '0.0.0.0' || hostIp === '::' ? '' : `${hostIp}:`;
}

/** Published ports, each once (an engine lists IPv4 and IPv6 apart), as links to what listens there. */
export function Ports({ container: { ports } }: { container: ContainerSummary }): ReactNode {
  const published = ports.filter((port) => port.host_port);
  const unique = [
    ...new Map(
      published.map((port) => [`${String(port.host_port)}/${port.container_port}/${port.protocol}`, port]),
    ).values(),
  ];
  return (
    <span className="mono flex flex-wrap gap-x-2">
      {unique.map((port) => {
        const text = `${address(port.host_ip)}${String(port.host_port)}→${port.container_port}${port.protocol === 'tcp' ? '' : `/${port.protocol}`}`;
        const host = address(port.host_ip).slice(0, -1) || window.location.hostname;
        return port.protocol === 'tcp' ? (
          <a
            key={text}
            href={`http://${host}:${String(port.host_port)}/`}
            target="_blank"
            rel="noreferrer"
            className="inline-block py-0.5 text-accent hover:underline"
          >
            {text}
          </a>
        ) : (
          <span key={text}>{text}</span>
        );
      })}
    </span>
  );
}

/** How long it has been up, or how long ago it ended. */
export function Uptime({ container }: { container: ContainerSummary }): ReactNode {
  const { state, started_at: started, finished_at: finished, created_at: created } = container;
  if (state === 'running' || state === 'paused') return <Since at={started} />;
  return <Ago at={finished ?? created} />;
}

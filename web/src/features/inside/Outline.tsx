import type { ReactNode } from 'react';

import type { Evidence, Inside } from '@/api/schema.gen.ts';
import { bytes } from '@/lib/format.ts';
import { Code } from '@/ui/Code.tsx';

import { shortCapability } from './Capabilities.tsx';
import { limitText } from './Cgroup.tsx';
import { idMapText } from './Confinement.tsx';
import { layerName } from './Files.tsx';
import { t } from './messages.ts';
import { namespaceName, namespaceState } from './Namespaces.tsx';
import { processTree } from './process-tree.ts';

type Item = { id: string; title: string; value: string; evidence: Evidence };

function groupsOf(inside: Inside): readonly { title: string; items: readonly Item[] }[] {
  const { capabilities, cgroup } = inside;
  const kept = capabilities.capabilities.filter((one) => one.effective || one.bounding);
  const dropped = capabilities.capabilities.filter((one) => !one.effective && !one.bounding);
  const names = (list: typeof kept): string => list.map((one) => shortCapability(one.name)).join(', ');
  return [
    {
      title: t('namespaces'),
      items: inside.namespaces.map((one) => ({
        id: one.kind,
        title: namespaceName(one),
        value: `${namespaceState(one)} · ${t('inode', { inode: String(one.inode ?? '–') })}`,
        evidence: one.evidence,
      })),
    },
    {
      title: t('cgroup'),
      items: [
        ...cgroup.knobs.map((one) => ({
          id: `${one.controller}:${one.title}`,
          title: one.title,
          value: [one.current, limitText(one)].filter(Boolean).join(' '),
          evidence: one.evidence,
        })),
        ...cgroup.paths.map((one) => ({
          id: `${one.controllers}:${one.path}`,
          title: `v${String(one.version)} ${one.controllers}`,
          value: one.path,
          evidence: one.evidence,
        })),
      ],
    },
    {
      title: t('capabilities'),
      items: [
        { id: 'kept', title: t('kept'), value: names(kept) || '–', evidence: capabilities.evidence },
        { id: 'dropped', title: t('dropped'), value: names(dropped) || '–', evidence: capabilities.evidence },
      ],
    },
    {
      title: t('confinement'),
      items: [
        ...inside.confinement.map((one) => ({
          id: one.kind,
          title: one.title,
          value: one.value,
          evidence: one.evidence,
        })),
        ...inside.id_maps.map((one, index) => ({
          id: `map${String(index)}`,
          title: t('idMaps'),
          value: idMapText(one),
          evidence: one.evidence,
        })),
      ],
    },
    {
      title: t('layers'),
      items: inside.layers.map((one) => ({
        id: String(one.position),
        title: layerName(one, inside.layers.length),
        value: bytes(one.size_bytes),
        evidence: one.evidence,
      })),
    },
    {
      title: t('mounts'),
      items: inside.mounts.map((one, index) => ({
        id: `${one.target}${String(index)}`,
        title: one.target,
        value: `${one.file_system} ${one.options}`,
        evidence: one.evidence,
      })),
    },
    {
      title: t('network'),
      items: [
        ...inside.interfaces.map((one) => ({
          id: one.name,
          title: one.name,
          value: one.addresses.join(', '),
          evidence: one.evidence,
        })),
        ...inside.sockets.map((one) => ({
          id: `${one.protocol}${one.address}${String(one.port)}`,
          title: one.protocol,
          value: `${one.address}:${String(one.port)}`,
          evidence: one.evidence,
        })),
      ],
    },
  ];
}

/** Everything as a list, sentence and command beside each fact: for phones, screen readers and reading through. */
export function Outline({ inside }: { inside: Inside }): ReactNode {
  return (
    <div className="flex flex-col gap-2">
      {groupsOf(inside).map(({ title, items }, index) => (
        <details key={title} open={index === 0} className="rounded-card border border-line bg-surface">
          <summary className="flex min-h-11 items-center gap-2 px-3 -outline-offset-2">
            <h2 className="text-sm font-semibold">{title}</h2>
            <span className="text-xs text-subtle">{items.length}</span>
          </summary>
          <dl className="px-3 pb-3">
            {items.map((item) => (
              <div key={item.id} className="border-t border-line py-2">
                <dt className="font-semibold break-words">{item.title}</dt>
                <dd className="mono break-words text-muted">{item.value}</dd>
                <dd className="mt-1">{item.evidence.sentence}</dd>
                {item.evidence.source && <dd className="mono mt-1 break-all text-subtle">{item.evidence.source}</dd>}
                {item.evidence.command && (
                  <dd className="mt-1">
                    <Code text={item.evidence.command} what={t('command')} />
                  </dd>
                )}
              </div>
            ))}
          </dl>
        </details>
      ))}
      <details className="rounded-card border border-line bg-surface">
        <summary className="flex min-h-11 items-center gap-2 px-3 -outline-offset-2">
          <h2 className="text-sm font-semibold">{t('processes')}</h2>
          <span className="text-xs text-subtle">{inside.processes.length}</span>
        </summary>
        <ul className="mono px-3 pb-3">
          {processTree(inside.processes).map(({ process, depth }) => (
            <li key={process.pid} className="break-words" style={{ paddingLeft: `${String(depth * 12)}px` }}>
              <span className="text-muted">
                {process.inner_pid ?? '?'} ↔ {process.pid}
              </span>{' '}
              {process.command}
            </li>
          ))}
        </ul>
      </details>
    </div>
  );
}

import type { ReactNode } from 'react';

import type { ProcessFact } from '@/api/schema.gen.ts';
import { bytes } from '@/lib/format.ts';
import { Card } from '@/ui/Card.tsx';

import { t } from './messages.ts';
import { processTree } from './process-tree.ts';

/** The container's processes as a tree, each with its number inside and on the host. */
export function Processes({ processes }: { processes: readonly ProcessFact[] }): ReactNode {
  return (
    <Card title={t('processes')} note={t('processesNote')}>
      {processes.length === 0 && <p className="text-muted">{t('noProcesses')}</p>}
      {/* It scrolls, so the keyboard must reach it. */}
      <div tabIndex={0} role="region" aria-label={t('processTree')} className="max-h-96 overflow-auto">
        <ul className="mono flex flex-col">
          {processTree(processes).map(({ process, depth }) => (
            <li
              key={process.pid}
              title={`${process.state} · uid ${String(process.uid)} · ${t('threads', { count: process.threads })} · ${bytes(process.memory_bytes)}\n${process.command}`}
              className="flex min-h-6 items-baseline gap-2 whitespace-nowrap"
              style={{ paddingLeft: `${String(depth * 12)}px` }}
            >
              {depth > 0 && (
                <span aria-hidden className="-ml-1 text-subtle">
                  └
                </span>
              )}
              <span className="text-muted">
                {process.inner_pid ?? '?'} ↔ {process.pid}
              </span>
              <span className={process.state.toLowerCase().includes('zombie') ? 'text-warn' : ''}>
                {process.command || process.state}
              </span>
            </li>
          ))}
        </ul>
      </div>
    </Card>
  );
}

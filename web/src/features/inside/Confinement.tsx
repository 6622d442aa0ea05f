import { ShieldCheck, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';

import type { ConfinementFact, IdMapFact, InterfaceFact, SocketFact } from '@/api/schema.gen.ts';
import { bytes } from '@/lib/format.ts';
import { Card } from '@/ui/Card.tsx';

import { Fact } from './evidence.tsx';
import { t } from './messages.ts';

export function idMapText({ kind, inside, outside, count }: IdMapFact): string {
  return t('idMap', {
    kind,
    inside: String(inside),
    insideEnd: String(inside + count - 1),
    outside: String(outside),
    outsideEnd: String(outside + count - 1),
  });
}

/** What else holds the process: the system call filter, no_new_privs, a security module, user maps. */
export function Confinement({
  facts,
  maps,
}: {
  facts: readonly ConfinementFact[];
  maps: readonly IdMapFact[];
}): ReactNode {
  return (
    <Card title={t('confinement')}>
      <ul className="flex flex-col">
        {facts.map((fact) => (
          <li key={fact.kind}>
            <Fact
              id={`conf:${fact.kind}`}
              title={fact.title}
              evidence={fact.evidence}
              className="flex w-full items-start gap-2 px-1 py-1"
            >
              {fact.protects ? (
                <ShieldCheck size={14} aria-hidden className="mt-0.75 shrink-0 text-ok" />
              ) : (
                <TriangleAlert size={14} aria-hidden className="mt-0.75 shrink-0 text-warn" />
              )}
              <span className="min-w-0 flex-1">
                <span className="block">{fact.title}</span>
                <span className={`block text-xs break-words ${fact.protects ? 'text-muted' : 'text-warn'}`}>
                  {fact.value}
                </span>
              </span>
            </Fact>
          </li>
        ))}
        {maps.map((map, index) => (
          <li key={`${map.kind}:${String(index)}`}>
            <Fact
              id={`map:${map.kind}:${String(index)}`}
              title={t('idMaps')}
              evidence={map.evidence}
              className="w-full px-1 py-1 text-muted"
            >
              {idMapText(map)}
            </Fact>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** Interfaces with their addresses, and what listens. */
export function Network({
  interfaces,
  sockets,
}: {
  interfaces: readonly InterfaceFact[];
  sockets: readonly SocketFact[];
}): ReactNode {
  return (
    <Card title={t('network')}>
      <ul className="flex flex-col">
        {interfaces.map((one) => (
          <li key={one.name}>
            <Fact id={`if:${one.name}`} title={one.name} evidence={one.evidence} className="w-full px-1 py-1">
              <span className="flex flex-wrap gap-x-3">
                <strong className="mono font-semibold">{one.name}</strong>
                <span className="mono text-muted">{one.addresses.join(', ')}</span>
              </span>
              <span className="text-xs text-subtle">
                {t('traffic', { in: bytes(one.received_bytes_total), out: bytes(one.transmitted_bytes_total) })}
              </span>
            </Fact>
          </li>
        ))}
      </ul>
      <h3 className="caps mt-2">{t('sockets')}</h3>
      {sockets.length === 0 && <p className="text-muted">{t('noSockets')}</p>}
      <ul className="mono flex flex-col">
        {sockets.map((socket) => (
          <li key={`${socket.protocol}:${socket.address}:${String(socket.port)}`}>
            <Fact
              id={`socket:${socket.protocol}:${socket.address}:${String(socket.port)}`}
              title={t('sockets')}
              evidence={socket.evidence}
              className="w-full px-1"
            >
              {socket.protocol} {socket.address.includes(':') ? `[${socket.address}]` : socket.address}:{socket.port}
            </Fact>
          </li>
        ))}
      </ul>
    </Card>
  );
}

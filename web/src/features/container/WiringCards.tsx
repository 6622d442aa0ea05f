import type { ReactNode } from 'react';
import { Link } from 'react-router';

import type { Mount, NetworkAttachment, Port } from '@/api/schema.gen.ts';
import { paths } from '@/lib/paths.ts';
import { Card } from '@/ui/Card.tsx';
import { Tag } from '@/ui/Chip.tsx';

import { t } from './messages.ts';

export function PortsCard({ ports }: { ports: readonly Port[] }): ReactNode {
  return (
    <Card title={t('ports')}>
      {ports.length === 0 && <p className="text-muted">{t('noPorts')}</p>}
      <ul className="mono divide-y divide-line">
        {ports.map((port) => {
          const any = !port.host_ip || port.host_ip === '0.0.0.0' || port.host_ip === '::';
          const shown = port.host_ip?.includes(':') ? `[${port.host_ip}]` : port.host_ip;
          const host = any ? window.location.hostname : shown;
          return (
            <li
              key={`${port.host_ip ?? ''}:${String(port.host_port)}:${port.container_port}/${port.protocol}`}
              className="flex flex-wrap gap-x-3 py-1"
            >
              <span>
                {port.container_port}/{port.protocol}
              </span>
              {port.host_port ? (
                <span className="text-muted">
                  ←{' '}
                  {port.protocol === 'tcp' ? (
                    <a
                      href={`http://${host ?? ''}:${String(port.host_port)}/`}
                      target="_blank"
                      rel="noreferrer"
                      className="inline-block py-0.5 text-accent hover:underline"
                    >
                      {shown ?? '0.0.0.0'}:{port.host_port}
                    </a>
                  ) : (
                    `${shown ?? '0.0.0.0'}:${String(port.host_port)}`
                  )}
                </span>
              ) : (
                <span className="text-subtle">{t('notPublished')}</span>
              )}
            </li>
          );
        })}
      </ul>
    </Card>
  );
}

export function NetworksCard({ networks }: { networks: readonly NetworkAttachment[] }): ReactNode {
  return (
    <Card title={t('networks')}>
      {networks.length === 0 && <p className="text-muted">{t('noNetworks')}</p>}
      <ul className="divide-y divide-line">
        {networks.map((network) => (
          <li key={network.network_id || network.network} className="py-1">
            <span className="font-semibold">{network.network}</span>{' '}
            <span className="mono text-muted">{[network.ipv4, network.ipv6].filter(Boolean).join(', ')}</span>
            <p className="text-xs text-subtle">
              {[
                network.gateway && t('gateway', { address: network.gateway }),
                network.mac,
                network.aliases.length > 0 && t('aliases', { names: network.aliases.join(', ') }),
              ]
                .filter(Boolean)
                .join(' · ')}
            </p>
          </li>
        ))}
      </ul>
    </Card>
  );
}

export function MountsCard({ mounts }: { mounts: readonly Mount[] }): ReactNode {
  return (
    <Card title={t('mounts')}>
      {mounts.length === 0 && <p className="text-muted">{t('noMounts')}</p>}
      <ul className="divide-y divide-line">
        {mounts.map((mount) => (
          <li key={mount.target} className="flex flex-wrap items-center gap-x-3 gap-y-1 py-1">
            <span className="mono min-w-0 font-semibold break-all">{mount.target}</span>
            <Tag>{mount.kind}</Tag>
            {mount.volume ? (
              <Link
                to={paths.volumes({ q: mount.volume })}
                className="mono min-w-0 py-0.5 break-all text-accent hover:underline"
              >
                {mount.volume}
              </Link>
            ) : (
              <span className="mono min-w-0 break-all text-muted">{mount.source}</span>
            )}
            <span className="ml-auto text-xs text-subtle">{mount.read_only ? t('ro') : t('rw')}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

import type { ReactNode } from 'react';

import type { LayerFact, MountFact } from '@/api/schema.gen.ts';
import { bytes } from '@/lib/format.ts';
import { Card } from '@/ui/Card.tsx';

import { Fact } from './evidence.tsx';
import { t } from './messages.ts';

export function layerName(layer: LayerFact, count: number): string {
  return layer.writable ? t('writable') : t('layer', { number: String(count - layer.position) });
}

/** The layers of the root file system, the writable one on top. */
export function Layers({ layers, engine }: { layers: readonly LayerFact[]; engine: string }): ReactNode {
  return (
    <Card title={t('layers')} note={t('layersNote')}>
      {layers.length === 0 && <p className="text-muted">{t('noLayers')}</p>}
      <ol className="flex flex-col gap-1.5">
        {layers.map((layer) => (
          <li key={layer.position}>
            <Fact
              id={`layer:${String(layer.position)}`}
              title={layerName(layer, layers.length)}
              evidence={layer.evidence}
              className={`flex w-full items-center gap-3 rounded-control border border-line px-2.5 py-1.5 ${
                layer.writable ? (engine === 'mini' ? 'bg-mini/18' : 'bg-docker/18') : 'bg-raised'
              }`}
            >
              <span className="font-semibold">{layerName(layer, layers.length)}</span>
              <span className="mono min-w-0 flex-1 truncate text-muted" title={layer.path}>
                {layer.path}
              </span>
              <span className="text-muted">{bytes(layer.size_bytes)}</span>
            </Fact>
          </li>
        ))}
      </ol>
    </Card>
  );
}

/** Everything that is mounted in the container. */
export function Mounts({ mounts }: { mounts: readonly MountFact[] }): ReactNode {
  return (
    <Card title={t('mounts')} note={mounts.length > 0 ? String(mounts.length) : undefined}>
      <ul className="flex max-h-80 flex-col overflow-y-auto">
        {mounts.map((mount, index) => (
          <li key={`${mount.target}:${String(index)}`} className="border-t border-line first:border-t-0">
            <Fact
              id={`mount:${mount.target}:${String(index)}`}
              title={mount.target}
              evidence={mount.evidence}
              className="mono grid w-full grid-cols-[1fr_auto_auto] items-center gap-3 px-1 py-0.5"
            >
              <span className="min-w-0 truncate" title={mount.target}>
                {mount.target}
              </span>
              <span className="text-subtle">{mount.file_system}</span>
              <span className="w-18 text-right text-xs text-muted">{mount.read_only ? t('readOnly') : ''}</span>
            </Fact>
          </li>
        ))}
      </ul>
    </Card>
  );
}

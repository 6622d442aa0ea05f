import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { Link } from 'react-router';

import type { ContainerSummary } from '@/api/schema.gen.ts';
import { bytes, percent } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { statsFeed } from '@/live/stores.ts';
import { Card } from '@/ui/Card.tsx';
import { Chip } from '@/ui/Chip.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { LiveText } from '@/ui/Live.tsx';
import { Sparkline } from '@/ui/Sparkline.tsx';

import { t } from './messages.ts';

const SHOWN = 5;
const REORDER_MS = 5000;
type By = 'cpu' | 'memory';

function valueOf(by: By, { engine, id }: ContainerSummary): number {
  const last = statsFeed(engine).of(id).last;
  return (by === 'cpu' ? last?.cpu_percent : last?.memory_working_set_bytes) ?? -1;
}

/** The five that take most; the order changes every five seconds, the figures each second. */
export function Top({ containers }: { containers: readonly ContainerSummary[] }): ReactNode {
  const [by, setBy] = useState<By>('cpu');
  const [, reorder] = useState(0);
  useEffect(() => {
    const again = (): void => reorder((count) => count + 1);
    const first = setTimeout(again, 1200);
    const timer = setInterval(again, REORDER_MS);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
    };
  }, []);
  const top = containers
    .filter((one) => one.state === 'running')
    .toSorted((a, b) => valueOf(by, b) - valueOf(by, a))
    .slice(0, SHOWN);
  return (
    <Card
      title={t('top', { what: by === 'cpu' ? t('cpu') : t('memory') })}
      actions={
        <div role="group" aria-label={t('topBy')} className="flex gap-1">
          <Chip pressed={by === 'cpu'} onPress={() => setBy('cpu')}>
            {t('cpu')}
          </Chip>
          <Chip pressed={by === 'memory'} onPress={() => setBy('memory')}>
            {t('memory')}
          </Chip>
        </div>
      }
    >
      {top.length === 0 && <p className="text-muted">{t('topNone')}</p>}
      <ol className="divide-y divide-line">
        {top.map((container) => (
          <TopRow key={`${container.engine}/${container.id}`} container={container} by={by} />
        ))}
      </ol>
    </Card>
  );
}

function TopRow({ container, by }: { container: ContainerSummary; by: By }): ReactNode {
  const { engine, id, name } = container;
  const figures = statsFeed(engine).of(id);
  const read = useCallback(
    () => (by === 'cpu' ? percent(figures.last?.cpu_percent) : bytes(figures.last?.memory_working_set_bytes)),
    [figures, by],
  );
  return (
    <li className="grid h-9 grid-cols-[minmax(0,1fr)_auto_auto_3.5rem] items-center gap-2">
      <Link to={paths.container(engine, id)} className="truncate font-semibold hover:underline">
        {name}
      </Link>
      <EngineMark engine={engine} className="text-muted" />
      <Sparkline
        source={figures.source(by)}
        label={by === 'cpu' ? t('cpuOf', { name }) : t('memoryOfName', { name })}
        colour={engine === 'mini' ? 'text-mini' : 'text-docker'}
        width={56}
        floor={by === 'cpu' ? 10 : 0}
      />
      <LiveText subscribe={figures.subscribe} read={read} className="text-right" />
    </li>
  );
}

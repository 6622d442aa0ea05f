import { Eye, EyeOff } from 'lucide-react';
import { type ReactNode, useState } from 'react';

import { api, unwrap } from '@/api/client.ts';
import type { EnvEntry } from '@/api/schema.gen.ts';
import { useAction } from '@/api/useAction.ts';
import { Card } from '@/ui/Card.tsx';
import { Copy } from '@/ui/Copy.tsx';
import { IconButton } from '@/ui/IconButton.tsx';

import { t } from './messages.ts';

/** The environment; what looks like a secret stays hidden until asked for, and the server notes who asked. */
export function EnvCard({ engine, id, env }: { engine: string; id: string; env: readonly EnvEntry[] }): ReactNode {
  return (
    <Card title={t('env')} note={env.length > 0 ? String(env.length) : undefined}>
      {env.length === 0 && <p className="text-muted">{t('noEnv')}</p>}
      <ul className="mono divide-y divide-line">
        {env.map((entry) => (
          <EnvRow key={entry.key} engine={engine} id={id} entry={entry} />
        ))}
      </ul>
    </Card>
  );
}

function EnvRow({ engine, id, entry }: { engine: string; id: string; entry: EnvEntry }): ReactNode {
  const [revealed, setRevealed] = useState<string | null>(null);
  const { act, pending } = useAction();
  const value = entry.value ?? revealed;
  const reveal = (): void => {
    void act(async () => {
      const answer = await unwrap(
        api.POST('/api/v1/engines/{engine}/containers/{container}/reveal', {
          params: { path: { engine, container: id } },
          body: { key: entry.key },
        }),
      );
      setRevealed(answer.value);
    });
  };
  return (
    <li className="flex min-h-8 flex-wrap items-center gap-x-3">
      <span className="min-w-24 font-semibold break-all text-muted">{entry.key}</span>
      <span className="min-w-0 flex-1 break-all">
        {value ?? <span className="text-subtle">•••••• {t('hidden')}</span>}
      </span>
      {entry.masked && (
        <IconButton
          label={revealed === null ? t('reveal', { name: entry.key }) : t('hide', { name: entry.key })}
          icon={revealed === null ? <Eye size={14} /> : <EyeOff size={14} />}
          pending={pending}
          className="size-7!"
          onClick={() => (revealed === null ? reveal() : setRevealed(null))}
        />
      )}
      {value !== null && <Copy text={value} what={entry.key} />}
    </li>
  );
}

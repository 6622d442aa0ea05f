import { api, unwrap } from '@/api/client.ts';
import { confirmLoss } from '@/api/confirm.ts';
import type { VolumePreviewRequest, VolumeSummary } from '@/api/schema.gen.ts';
import { engineName } from '@/ui/EngineMark.tsx';
import { toast } from '@/ui/toasts.ts';

import { t } from './messages.ts';

function askToRemove(engine: string, title: string, body: VolumePreviewRequest): void {
  confirmLoss({
    title,
    verb: t('removeVerb', { engine: engineName(engine) }),
    load: () => unwrap(api.POST('/api/v1/engines/{engine}/volumes/preview', { params: { path: { engine } }, body })),
    perform: async ({ token }) => {
      const { results } = await unwrap(
        api.POST('/api/v1/engines/{engine}/volumes/remove', {
          params: { path: { engine } },
          body: { preview_token: token },
        }),
      );
      for (const { name, ok, problem } of results) {
        if (ok) toast('ok', t('removed', { name }));
        else toast('error', t('refused', { reason: problem?.detail ?? name }), { detail: problem?.hint ?? undefined });
      }
    },
  });
}

export function removeVolume({ engine, name }: VolumeSummary): void {
  askToRemove(engine, t('removeTitle', { name, engine: engineName(engine) }), { names: [name] });
}

export function pruneVolumes(engine: string): void {
  askToRemove(engine, t('pruneTitle', { engine: engineName(engine) }), { prune: true });
}

import { api, unwrap } from '@/api/client.ts';
import { confirmLoss } from '@/api/confirm.ts';
import type { ImagePrune, ImageSummary } from '@/api/schema.gen.ts';
import { shortId } from '@/lib/format.ts';
import { engineName } from '@/ui/EngineMark.tsx';
import { toast } from '@/ui/toasts.ts';

import { t } from './messages.ts';

export function imageName(image: ImageSummary): string {
  return image.tags[0] ?? shortId(image.id);
}

/** `known` names what goes where the person named one image; the server's results name ids. */
async function removePreviewed(engine: string, token: string, known?: string): Promise<void> {
  const { results } = await unwrap(
    api.POST('/api/v1/engines/{engine}/images/remove', {
      params: { path: { engine } },
      body: { preview_token: token },
    }),
  );
  const refused = results.filter((result) => !result.ok);
  for (const { name, problem } of refused)
    toast('error', t('refused', { reason: problem?.detail ?? known ?? name }), { detail: problem?.hint ?? undefined });
  for (const { name } of results.filter((result) => result.ok).slice(0, 1))
    toast('ok', t('removed', { name: known ?? name }));
}

/** Asks the server what removing an image would do, then removes exactly that. */
export function removeImage(image: ImageSummary): void {
  const engine = image.engine;
  confirmLoss({
    title: t('removeTitle', { name: imageName(image), engine: engineName(engine) }),
    verb: t('removeVerb', { engine: engineName(engine) }),
    options: image.tags.length > 1 || image.used_by.length > 0 ? [{ id: 'force', label: t('force'), on: false }] : [],
    load: (options) =>
      unwrap(
        api.POST('/api/v1/engines/{engine}/images/preview', {
          params: { path: { engine } },
          body: { images: [image.tags.length === 1 ? imageName(image) : image.id], force: options.has('force') },
        }),
      ),
    perform: ({ token }) => removePreviewed(engine, token, imageName(image)),
  });
}

/** What pruning would remove, then exactly that. What counts as unused is the server's rule. */
export function pruneImages(engine: string, prune: ImagePrune): void {
  confirmLoss({
    title: t('pruneTitle', { engine: engineName(engine) }),
    verb: t('removeVerb', { engine: engineName(engine) }),
    load: () =>
      unwrap(api.POST('/api/v1/engines/{engine}/images/preview', { params: { path: { engine } }, body: { prune } })),
    perform: ({ token }) => removePreviewed(engine, token),
  });
}

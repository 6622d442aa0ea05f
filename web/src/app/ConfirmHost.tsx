import { type ReactNode, useCallback, useEffect, useState } from 'react';
import { useStore } from 'zustand';

import { type ActRequest, closeConfirmation, confirmation, type LossRequest } from '@/api/confirm.ts';
import { problemFrom } from '@/api/errors.ts';
import type { Preview, Problem } from '@/api/schema.gen.ts';
import { bytes } from '@/lib/format.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Button } from '@/ui/Button.tsx';
import { Dialog } from '@/ui/Dialog.tsx';
import { Checkbox, TextField } from '@/ui/Field.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { t } from './messages.ts';

/** Shows the confirmation that is asked for, if any. */
export function ConfirmHost(): ReactNode {
  const request = useStore(confirmation, (state) => state.request);
  if (!request) return null;
  return request.kind === 'loss' ? (
    <LossDialog key={request.title} request={request} />
  ) : (
    <ActDialog key={request.title} request={request} />
  );
}

function ActDialog({ request }: { request: ActRequest }): ReactNode {
  const { pending, problem, run } = usePerform(request.perform);
  return (
    <Dialog
      title={request.title}
      onClose={closeConfirmation}
      footer={
        <>
          <Button data-autofocus onClick={closeConfirmation}>
            {t('cancel')}
          </Button>
          <Button variant="primary" pending={pending} onClick={run}>
            {request.verb}
          </Button>
        </>
      }
    >
      <p>{request.body}</p>
      {problem && <ProblemBox title={t('notDone')} problem={problem} />}
    </Dialog>
  );
}

function usePerform(perform: () => Promise<void>): {
  pending: boolean;
  problem: Problem | null;
  run: () => void;
  clear: () => void;
} {
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = (): void => {
    setPending(true);
    setProblem(null);
    perform()
      .then(closeConfirmation)
      .catch((error: unknown) => setProblem(problemFrom(error)))
      .finally(() => setPending(false));
  };
  return { pending, problem, run, clear: () => setProblem(null) };
}

/** What would be lost, in the server's words; nothing is removed that was not shown. */
function LossDialog({ request }: { request: LossRequest }): ReactNode {
  const [options, setOptions] = useState<ReadonlySet<string>>(
    () => new Set(request.options?.filter((one) => one.on).map((one) => one.id)),
  );
  const [preview, setPreview] = useState<Preview | null>(null);
  const [failure, setFailure] = useState<Problem | null>(null);
  const [changed, setChanged] = useState(false);
  const [typed, setTyped] = useState('');
  const [round, setRound] = useState(0);
  const reload = useCallback(() => setRound((before) => before + 1), []);

  useEffect(() => {
    let current = true;
    setPreview(null);
    setFailure(null);
    request
      .load(options)
      .then((loaded) => current && setPreview(loaded))
      .catch((error: unknown) => current && setFailure(problemFrom(error)));
    return () => {
      current = false;
    };
  }, [request, options, round]);

  const { pending, problem, run } = usePerform(async () => {
    if (!preview) return;
    try {
      await request.perform(preview);
    } catch (error) {
      if (problemFrom(error).code !== 'preview_changed') throw error;
      setChanged(true);
      reload();
      throw error;
    }
  });

  const needed = preview?.type_to_confirm
    ? preview.items.length === 1
      ? (preview.items[0]?.name ?? '')
      : String(preview.count)
    : '';
  const blocked =
    preview === null
      ? t('previewLoading')
      : preview.count === 0
        ? t('previewEmpty')
        : typed.trim() !== needed
          ? t('typeNeeded')
          : undefined;
  const toggle = (id: string): void => {
    const next = new Set(options);
    if (!next.delete(id)) next.add(id);
    setOptions(next);
  };
  return (
    <Dialog
      title={request.title}
      onClose={closeConfirmation}
      footer={
        <>
          <Button data-autofocus onClick={closeConfirmation}>
            {t('cancel')}
          </Button>
          <Button variant="dangerSolid" pending={pending} disabledReason={blocked} onClick={run}>
            {request.verb}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        {changed && <Banner kind="warn" title={t('previewChanged')} live />}
        {request.options?.map((option) => (
          <Checkbox
            key={option.id}
            label={option.label}
            checked={options.has(option.id)}
            onChange={() => toggle(option.id)}
          />
        ))}
        {failure && <ProblemBox title={t('previewFailed')} problem={failure} onRetry={reload} />}
        {!preview && !failure && <Skeleton rows={3} />}
        {preview && <PreviewBody preview={preview} />}
        {preview && needed && (
          <TextField
            label={t('typeName', { name: needed })}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            spellCheck={false}
          />
        )}
        {problem && problem.code !== 'preview_changed' && <ProblemBox title={t('notDone')} problem={problem} />}
      </div>
    </Dialog>
  );
}

function PreviewBody({ preview }: { preview: Preview }): ReactNode {
  return (
    <>
      {preview.count === 0 && <p>{t('previewEmpty')}</p>}
      <ul className="max-h-60 divide-y divide-line overflow-y-auto rounded-control border border-line empty:hidden">
        {preview.items.map((item) => (
          <li key={`${item.kind}:${item.id}:${item.name}`} className="px-3 py-1.5">
            <div className="flex gap-3">
              <span className="min-w-0 flex-1 break-words">
                <span className="text-subtle">{item.kind}</span> <strong className="font-semibold">{item.name}</strong>
              </span>
              {item.bytes !== null && item.bytes !== undefined && (
                <span className="text-muted">{bytes(item.bytes)}</span>
              )}
            </div>
            {item.used_by.length > 0 && (
              <p className="text-xs text-warn">{t('usedBy', { names: item.used_by.join(', ') })}</p>
            )}
            {item.note && <p className="text-xs text-muted">{item.note}</p>}
          </li>
        ))}
      </ul>
      {preview.warnings.map((warning) => (
        <Banner key={warning} kind="warn">
          {warning}
        </Banner>
      ))}
      <p className="text-muted">
        {preview.freed_bytes !== null &&
          preview.freed_bytes !== undefined &&
          `${t('freed', { size: bytes(preview.freed_bytes) })}. `}
        {preview.undo}
      </p>
    </>
  );
}

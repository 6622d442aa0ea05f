import { useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { useNavigate } from 'react-router';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import { sessionQuery } from '@/api/queries.ts';
import type { Problem } from '@/api/schema.gen.ts';
import { paths } from '@/lib/paths.ts';
import { Button } from '@/ui/Button.tsx';
import { PasswordField } from '@/ui/PasswordField.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';

import { AuthFrame } from './AuthFrame.tsx';
import { t } from './messages.ts';

/** Who signed in with a one-time password chooses another before anything else. */
export function PasswordPage(): ReactNode {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [current, setCurrent] = useState('');
  const [fresh, setFresh] = useState('');
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const fieldError = (field: string): string | undefined =>
    problem?.errors?.find((error) => error.field === field)?.message;
  const submit = async (): Promise<void> => {
    setPending(true);
    setProblem(null);
    try {
      await unwrap(api.POST('/api/v1/account/password', { body: { current, new: fresh } }));
      await client.fetchQuery({ ...sessionQuery, staleTime: 0 });
      await navigate(paths.dashboard(), { replace: true });
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      setPending(false);
    }
  };
  return (
    <AuthFrame title={t('passwordTitle')}>
      <p className="text-muted">{t('passwordIntro')}</p>
      <form
        noValidate
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!pending) void submit();
        }}
      >
        {problem && !problem.errors?.length && (
          <ProblemBox title={t('notAccepted')} problem={{ detail: problem.detail, hint: problem.hint }} />
        )}
        <PasswordField
          label={t('oneTime')}
          value={current}
          onChange={setCurrent}
          kind="current-password"
          error={fieldError('current')}
        />
        <PasswordField
          label={t('newPassword')}
          value={fresh}
          onChange={setFresh}
          kind="new-password"
          error={fieldError('new')}
          hint={t('passwordHint')}
        />
        <Button type="submit" variant="primary" pending={pending}>
          {t('choose')}
        </Button>
      </form>
    </AuthFrame>
  );
}

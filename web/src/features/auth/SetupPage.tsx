import { useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import { sessionQuery } from '@/api/queries.ts';
import type { Problem } from '@/api/schema.gen.ts';
import { Button } from '@/ui/Button.tsx';
import { TextField } from '@/ui/Field.tsx';
import { PasswordField } from '@/ui/PasswordField.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';

import { AuthFrame } from './AuthFrame.tsx';
import { EnginesFound } from './EnginesFound.tsx';
import { t } from './messages.ts';
import { strengthOf, tokenFrom } from './password.ts';

function strengthText(password: string): string {
  if (!password) return t('passwordHint');
  const strength = strengthOf(password);
  switch (strength.word) {
    case 'short':
      return t('strengthShort', { count: strength.missing });
    case 'weak':
      return t('strengthWeak');
    case 'fair':
      return t('strengthFair');
    default:
      return t('strengthGood');
  }
}

/** First run: creates the administrator, then says which engines there are. */
export function SetupPage(): ReactNode {
  const client = useQueryClient();
  const [token, setToken] = useState(() => tokenFrom(window.location.hash));
  const [name, setName] = useState('admin');
  const [password, setPassword] = useState('');
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [done, setDone] = useState(false);

  if (done) return <EnginesFound />;

  const fieldError = (field: string): string | undefined =>
    problem?.errors?.find((error) => error.field === field)?.message;
  const shown = problem && !problem.errors?.length;
  const submit = async (): Promise<void> => {
    setPending(true);
    setProblem(null);
    try {
      await unwrap(api.POST('/api/v1/auth/setup', { body: { token: token.trim(), name, password } }));
      // The token is used up; it has no business in the history.
      window.history.replaceState(null, '', window.location.pathname);
      setDone(true);
      await client.fetchQuery({ ...sessionQuery, staleTime: 0 });
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      setPending(false);
    }
  };
  return (
    <AuthFrame title={t('setupTitle')}>
      <p className="text-muted">{t('setupIntro')}</p>
      <form
        noValidate
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!pending) void submit();
        }}
      >
        {shown && <ProblemBox title={t('notAccepted')} problem={{ detail: problem.detail, hint: problem.hint }} />}
        <TextField
          label={t('token')}
          name="token"
          required
          spellCheck={false}
          value={token}
          hint={t('tokenHint')}
          error={fieldError('token')}
          onChange={(event) => setToken(event.target.value)}
        />
        <TextField
          label={t('name')}
          name="username"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          value={name}
          error={fieldError('name')}
          onChange={(event) => setName(event.target.value)}
        />
        <PasswordField
          value={password}
          onChange={setPassword}
          kind="new-password"
          error={fieldError('password')}
          hint={<span aria-live="polite">{strengthText(password)}</span>}
        />
        <Button type="submit" variant="primary" pending={pending}>
          {t('create')}
        </Button>
      </form>
    </AuthFrame>
  );
}

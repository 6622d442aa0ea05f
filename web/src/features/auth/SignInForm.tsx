import { type ReactNode, useEffect, useRef, useState } from 'react';

import { Button } from '@/ui/Button.tsx';
import { TextField } from '@/ui/Field.tsx';
import { PasswordField } from '@/ui/PasswordField.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';

import { t } from './messages.ts';
import { useSignIn } from './useSignIn.ts';

/** Name and password, and a code for accounts that ask for one. Never says which of name and password was wrong. */
export function SignInForm({ name: known = '', onDone }: { name?: string; onDone: () => void }): ReactNode {
  const [name, setName] = useState(known);
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  // Once it was asked for it stays: a wrong code is answered as a wrong password is.
  const [coded, setCoded] = useState(false);
  const { problem, pending, lockedFor, signIn } = useSignIn();
  const asked = problem?.code === 'second_factor_required';
  if (asked && !coded) setCoded(true);
  const codeField = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (coded) codeField.current?.focus();
  }, [coded]);
  return (
    <form
      noValidate
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        if (pending || lockedFor > 0) return;
        void signIn(name, password, code).then((done) => done && onDone());
      }}
    >
      {problem && !asked && (
        <ProblemBox title={t('notAccepted')} problem={{ detail: problem.detail, hint: problem.hint }} />
      )}
      <TextField
        label={t('name')}
        name="username"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        required
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <PasswordField value={password} onChange={setPassword} kind="current-password" />
      {coded && (
        <TextField
          label={t('code')}
          name="code"
          autoComplete="one-time-code"
          autoCapitalize="none"
          spellCheck={false}
          ref={codeField}
          required
          value={code}
          hint={t('codeHint')}
          onChange={(event) => setCode(event.target.value)}
        />
      )}
      <Button
        type="submit"
        variant="primary"
        pending={pending}
        disabledReason={lockedFor > 0 && t('lockedFor', { seconds: lockedFor })}
      >
        {t('signIn')}
      </Button>
      {lockedFor > 0 && <p className="text-xs text-warn">{t('lockedFor', { seconds: lockedFor })}</p>}
    </form>
  );
}

import { type ReactNode, useState } from 'react';

import { Button } from '@/ui/Button.tsx';
import { TextField } from '@/ui/Field.tsx';
import { PasswordField } from '@/ui/PasswordField.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';

import { t } from './messages.ts';
import { useSignIn } from './useSignIn.ts';

/** Name and password. Never says which of the two was wrong. */
export function SignInForm({ name: known = '', onDone }: { name?: string; onDone: () => void }): ReactNode {
  const [name, setName] = useState(known);
  const [password, setPassword] = useState('');
  const { problem, pending, lockedFor, signIn } = useSignIn();
  return (
    <form
      noValidate
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        if (pending || lockedFor > 0) return;
        void signIn(name, password).then((done) => done && onDone());
      }}
    >
      {problem && <ProblemBox title={t('notAccepted')} problem={{ detail: problem.detail, hint: problem.hint }} />}
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

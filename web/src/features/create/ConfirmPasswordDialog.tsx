import { type ReactNode, useState } from 'react';

import { api } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import { sentences } from '@/lib/format.ts';
import { Button } from '@/ui/Button.tsx';
import { Dialog } from '@/ui/Dialog.tsx';
import { PasswordField } from '@/ui/PasswordField.tsx';

import { t } from './messages.ts';

/** Asks for the password again before what gives power over the host; the form behind it is kept. */
export function ConfirmPasswordDialog({
  onConfirmed,
  onClose,
}: {
  onConfirmed: () => void;
  onClose: () => void;
}): ReactNode {
  const [password, setPassword] = useState('');
  const [pending, setPending] = useState(false);
  const [refused, setRefused] = useState<string | undefined>();
  const submit = async (): Promise<void> => {
    setPending(true);
    setRefused(undefined);
    try {
      await api.POST('/api/v1/auth/confirm', { body: { password } });
      onConfirmed();
    } catch (error) {
      const problem = problemFrom(error);
      setRefused(sentences(problem.detail, problem.hint));
      setPending(false);
    }
  };
  return (
    <Dialog
      title={t('confirmTitle')}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button variant="primary" type="submit" form="confirm-password" pending={pending}>
            {t('confirmVerb')}
          </Button>
        </>
      }
    >
      <form
        id="confirm-password"
        noValidate
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (!pending) void submit();
        }}
      >
        <p className="text-muted">{t('confirmBody')}</p>
        <PasswordField value={password} onChange={setPassword} kind="current-password" error={refused} focused />
      </form>
    </Dialog>
  );
}

import type { ReactNode } from 'react';

import { sessionEnd } from '@/api/session.ts';
import { live } from '@/live/stores.ts';
import { Dialog } from '@/ui/Dialog.tsx';

import { t } from './messages.ts';
import { SignInForm } from './SignInForm.tsx';

/** Signs in again over the page, so that nothing typed is lost. */
export function SessionDialog({ name }: { name: string }): ReactNode {
  const close = (): void => sessionEnd.setState({ ended: false });
  return (
    <Dialog title={t('sessionTitle')} onClose={close}>
      <p className="mb-4 text-muted">{t('sessionBody')}</p>
      <SignInForm
        name={name}
        onDone={() => {
          close();
          live.dispose();
          live.open();
        }}
      />
    </Dialog>
  );
}

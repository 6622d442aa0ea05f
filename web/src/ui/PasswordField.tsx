import { Eye, EyeOff } from 'lucide-react';
import { type ReactNode, useState } from 'react';

import { TextField } from './Field.tsx';
import { IconButton } from './IconButton.tsx';
import { t } from './messages.ts';

type PasswordFieldProps = {
  /** What it is called when a form has more than one. */
  label?: string;
  value: string;
  onChange: (value: string) => void;
  kind: 'current-password' | 'new-password';
  error?: string | undefined;
  hint?: ReactNode;
  /** The first field of a dialog, which takes the focus. */
  focused?: boolean;
};

/** A password with a way to see it; managers and paste work as in any field. */
export function PasswordField({
  label = t('password'),
  value,
  onChange,
  kind,
  error,
  hint,
  focused,
}: PasswordFieldProps): ReactNode {
  const [shown, setShown] = useState(false);
  return (
    <div className="flex items-start gap-2">
      <TextField
        label={label}
        name="password"
        data-autofocus={focused}
        type={shown ? 'text' : 'password'}
        autoComplete={kind}
        required
        value={value}
        error={error}
        hint={hint}
        spellCheck={false}
        className="flex-1"
        onChange={(event) => onChange(event.target.value)}
      />
      <IconButton
        label={shown ? t('hidePassword') : t('showPassword')}
        icon={shown ? <EyeOff size={16} /> : <Eye size={16} />}
        className="mt-5"
        onClick={() => setShown(!shown)}
      />
    </div>
  );
}

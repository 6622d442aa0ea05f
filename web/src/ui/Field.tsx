import { clsx } from 'clsx';
import { CircleAlert } from 'lucide-react';
import type { InputHTMLAttributes, ReactNode, Ref, SelectHTMLAttributes, TextareaHTMLAttributes } from 'react';
import { useId } from 'react';

import { t } from './messages.ts';

const CONTROL =
  'w-full min-w-0 rounded-control border border-line-strong bg-canvas px-2.5 text-sm text-fg aria-invalid:border-danger disabled:opacity-55';

type FieldProps = {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  /** Keeps the label for screen readers only. */
  hideLabel?: boolean | undefined;
  className?: string | undefined;
};

type Wiring = { id: string; 'aria-invalid': boolean | undefined; 'aria-describedby': string | undefined };

function Frame({
  label,
  hint,
  error,
  hideLabel,
  className,
  required,
  children,
}: FieldProps & { required?: boolean | undefined; children: (wiring: Wiring) => ReactNode }): ReactNode {
  const id = useId();
  const described = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(' ');
  return (
    <div className={clsx('flex min-w-0 flex-col gap-1', className)}>
      <label htmlFor={id} className={clsx('text-xs font-medium text-muted', hideLabel && 'sr-only')}>
        {label}
        {required && <span className="font-normal text-subtle"> · {t('required')}</span>}
      </label>
      {children({ id, 'aria-invalid': error ? true : undefined, 'aria-describedby': described || undefined })}
      {error && (
        <p id={`${id}-error`} className="flex items-start gap-1.5 text-xs text-danger">
          <CircleAlert size={14} className="mt-px shrink-0" aria-hidden />
          {error}
        </p>
      )}
      {hint && (
        <div id={`${id}-hint`} className="text-xs text-subtle">
          {hint}
        </div>
      )}
    </div>
  );
}

type InputProps = FieldProps & InputHTMLAttributes<HTMLInputElement> & { ref?: Ref<HTMLInputElement> | undefined };

export function TextField({ label, hint, error, hideLabel, className, ...input }: InputProps): ReactNode {
  return (
    <Frame {...{ label, hint, error, hideLabel, className }} required={input.required}>
      {(wiring) => <input autoComplete="off" {...input} {...wiring} className={clsx(CONTROL, 'h-control')} />}
    </Frame>
  );
}

type AreaProps = FieldProps &
  TextareaHTMLAttributes<HTMLTextAreaElement> & { ref?: Ref<HTMLTextAreaElement> | undefined };

export function TextArea({ label, hint, error, hideLabel, className, ...area }: AreaProps): ReactNode {
  return (
    <Frame {...{ label, hint, error, hideLabel, className }} required={area.required}>
      {(wiring) => <textarea rows={4} {...area} {...wiring} className={clsx(CONTROL, 'mono py-1.5')} />}
    </Frame>
  );
}

type SelectProps = FieldProps & SelectHTMLAttributes<HTMLSelectElement> & { ref?: Ref<HTMLSelectElement> | undefined };

export function Select({ label, hint, error, hideLabel, className, children, ...select }: SelectProps): ReactNode {
  return (
    <Frame {...{ label, hint, error, hideLabel, className }} required={select.required}>
      {(wiring) => (
        <select {...select} {...wiring} className={clsx(CONTROL, 'h-control')}>
          {children}
        </select>
      )}
    </Frame>
  );
}

type CheckProps = { label: ReactNode; hint?: ReactNode; className?: string | undefined } & Omit<
  InputHTMLAttributes<HTMLInputElement>,
  'type'
> & { ref?: Ref<HTMLInputElement> | undefined };

export function Checkbox({ label, hint, className, ...input }: CheckProps): ReactNode {
  return (
    <label className={clsx('flex min-h-6 items-start gap-2 text-sm', className)}>
      <input type="checkbox" {...input} className="mt-0.5 shrink-0" />
      <span>
        {label}
        {hint && <span className="block text-xs text-subtle">{hint}</span>}
      </span>
    </label>
  );
}

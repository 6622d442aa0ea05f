import { clsx } from 'clsx';
import { type ReactNode, useId } from 'react';

export type RadioOption<V extends string> = {
  value: V;
  label: ReactNode;
  disabledReason?: string | undefined | null | false;
};

type RadioGroupProps<V extends string> = {
  label: string;
  value: V;
  options: readonly RadioOption<V>[];
  onChange: (value: V) => void;
  className?: string;
};

/** A segmented choice: native radio buttons, so arrows, forms and screen readers work as everywhere. */
export function RadioGroup<V extends string>({
  label,
  value,
  options,
  onChange,
  className,
}: RadioGroupProps<V>): ReactNode {
  const name = useId();
  return (
    <fieldset className={clsx('inline-flex min-w-0 rounded-control border border-line bg-canvas', className)}>
      <legend className="sr-only">{label}</legend>
      {options.map((option) => (
        <label
          key={option.value}
          title={option.disabledReason || undefined}
          className={clsx(
            'relative flex h-control items-center gap-1.5 border-r border-line px-3 text-sm whitespace-nowrap first:rounded-l-control last:rounded-r-control last:border-r-0',
            'has-[:focus-visible]:z-10 has-[:focus-visible]:outline-2 has-[:focus-visible]:outline-offset-2 has-[:focus-visible]:outline-accent',
            option.value === value
              ? 'bg-raised font-medium text-fg shadow-[inset_0_-2px_0_var(--accent)]'
              : 'text-muted',
            option.disabledReason ? 'opacity-50' : 'hover:text-fg',
          )}
        >
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === value}
            disabled={Boolean(option.disabledReason)}
            onChange={() => onChange(option.value)}
            className="absolute inset-0 h-full w-full cursor-[inherit] opacity-0"
          />
          {option.label}
        </label>
      ))}
    </fieldset>
  );
}

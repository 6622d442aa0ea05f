import { clsx } from 'clsx';
import type { ButtonHTMLAttributes, ReactNode, Ref } from 'react';

import { Tooltip } from './Tooltip.tsx';

export type ButtonVariant = 'primary' | 'secondary' | 'danger' | 'dangerSolid' | 'ghost';

export type ButtonProps = Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'disabled'> & {
  variant?: ButtonVariant | undefined;
  /** Why the button cannot be used now. It stays focusable so that the reason can be read. */
  disabledReason?: string | undefined | null | false;
  /** An action of this button is under way. */
  pending?: boolean | undefined;
  icon?: ReactNode;
  ref?: Ref<HTMLButtonElement> | undefined;
};

const VARIANTS: Record<ButtonVariant, string> = {
  primary: 'border-accent bg-accent text-on-accent font-semibold hover:brightness-110',
  secondary: 'border-line bg-surface text-fg hover:bg-raised hover:border-line-strong',
  danger: 'border-line bg-surface text-danger hover:border-danger',
  dangerSolid: 'border-danger bg-danger text-on-danger font-semibold hover:brightness-110',
  ghost: 'border-transparent bg-transparent text-muted hover:bg-raised hover:text-fg',
};

/** Look of a button, for links that act as one. */
export function buttonClass(variant: ButtonVariant = 'secondary', square = false): string {
  return clsx(
    'inline-flex h-control shrink-0 items-center justify-center gap-2 rounded-control border text-sm whitespace-nowrap transition-colors',
    square ? 'w-control' : 'px-3',
    VARIANTS[variant],
  );
}

export function Button({
  variant,
  disabledReason,
  pending,
  icon,
  children,
  className,
  type = 'button',
  onClick,
  ...rest
}: ButtonProps): ReactNode {
  const blocked = Boolean(disabledReason) || pending === true;
  const button = (
    <button
      {...rest}
      type={type}
      aria-disabled={blocked || undefined}
      aria-busy={pending || undefined}
      className={clsx(buttonClass(variant), blocked && 'opacity-55 hover:brightness-100', className)}
      onClick={(event) => {
        if (blocked) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {pending ? (
        <span className="size-3.5 animate-spin rounded-pill border-2 border-current border-t-transparent" />
      ) : (
        icon
      )}
      {children}
    </button>
  );
  return disabledReason ? <Tooltip text={disabledReason}>{button}</Tooltip> : button;
}

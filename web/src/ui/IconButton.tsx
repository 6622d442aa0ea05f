import { clsx } from 'clsx';
import type { ReactNode } from 'react';

import { type ButtonProps, buttonClass } from './Button.tsx';
import { Tooltip } from './Tooltip.tsx';

type IconButtonProps = Omit<ButtonProps, 'children' | 'icon' | 'aria-label'> & { label: string; icon: ReactNode };

/** A button of one icon: its name is said to screen readers and shown as a tooltip. */
export function IconButton({
  label,
  icon,
  variant = 'ghost',
  disabledReason,
  pending,
  className,
  onClick,
  type = 'button',
  ...rest
}: IconButtonProps): ReactNode {
  const blocked = Boolean(disabledReason) || pending === true;
  return (
    <Tooltip text={disabledReason ? `${label}: ${disabledReason}` : label} labelled>
      <button
        {...rest}
        type={type}
        aria-label={label}
        aria-disabled={blocked || undefined}
        className={clsx(buttonClass(variant, true), blocked && 'opacity-45', className)}
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
      </button>
    </Tooltip>
  );
}

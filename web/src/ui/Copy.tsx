import { Check, Copy as CopyIcon } from 'lucide-react';
import { type ReactNode, useEffect, useRef, useState } from 'react';

import { IconButton } from './IconButton.tsx';
import { t } from './messages.ts';

/** Clipboard needs a secure context; over plain HTTP from another machine the old command still works. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.style.position = 'fixed';
    area.style.opacity = '0';
    // A modal dialog makes the rest of the document inert, so the helper must live inside it.
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** Copies text; `what` names it for screen readers ("Copy id"). */
export function Copy({ text, what }: { text: string; what: string }): ReactNode {
  const [copied, setCopied] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <IconButton
      label={copied ? t('copied') : t('copyNamed', { what })}
      icon={copied ? <Check size={14} className="text-ok" /> : <CopyIcon size={14} />}
      className="size-7!"
      onClick={() => {
        void copyText(text).then((done) => {
          setCopied(done);
          timer.current = window.setTimeout(() => setCopied(false), 1500);
        });
      }}
    />
  );
}

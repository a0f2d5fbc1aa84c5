// The pages work without this script. Its bytes are the same on every page, because the policy has its hash.
(() => {
  'use strict';

  // A fault that was switched must not meet the counts of earlier sign-ins, which would stop the next one as a loop.
  // Every sign-in of the demo begins at a page with this script, so each tab starts a fresh count there.
  const changes = document.documentElement.dataset.changes;
  try {
    if (sessionStorage.getItem('demo:changes') !== changes) {
      Object.keys(sessionStorage)
        .filter((key) => key.startsWith('deskmint:') && !key.endsWith(':sent'))
        .forEach((key) => sessionStorage.removeItem(key));
      sessionStorage.setItem('demo:changes', changes);
    }
  } catch (refused) {
    // Without storage there is no count.
  }

  // The frame of a person's page grows until the whole page is in it. The page's margins grow with the frame, so this
  // takes several steps.
  document.querySelectorAll('iframe').forEach((frame) => {
    const grow = () => {
      const page = frame.contentDocument && frame.contentDocument.documentElement;
      for (let step = 0; page && page.scrollHeight > frame.clientHeight && step < 20; step++) {
        frame.style.height = page.scrollHeight + 2 + 'px';
      }
    };
    frame.addEventListener('load', grow);
    addEventListener('resize', grow);
    grow();
  });

  if (!navigator.clipboard) return;
  document.querySelectorAll('[data-copy]').forEach((button) => {
    button.hidden = false;
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = 'Copied';
    });
  });
})();

// The same bytes for every brand and request: the page's policy names their hash.
// What differs is read from the form's data attributes and the texts already in the page.
(() => {
  'use strict';

  const form = document.getElementById('sign-in');
  const key = 'deskmint:' + form.dataset.scope;
  const limit = Number(form.dataset.loopLimit);
  const span = Number(form.dataset.loopWindow); // milliseconds

  const show = (state) => {
    document.querySelectorAll('[data-state]').forEach((part) => {
      part.hidden = !part.dataset.state.split(' ').includes(state);
    });
  };

  // The times of this tab's sign-ins within the window. A browser may refuse storage, or throw at its very
  // name: then nothing is remembered, because a sign-in that works matters more than a loop that ends.
  const recent = () => {
    try {
      const now = Date.now();
      return (sessionStorage.getItem(key) || '').split(' ').map(Number)
        .filter((time) => time > now - span && time <= now);
    } catch (refused) {
      return [];
    }
  };
  const remember = () => {
    try {
      sessionStorage.setItem(key, recent().concat(Date.now()).slice(-limit).join(' '));
    } catch (refused) {
      // As above.
    }
  };

  // The one guard: a token is good for one POST, whoever sends it, this script or the button.
  let sent = false;
  const claim = () => {
    if (sent) return false;
    sent = true;
    remember();
    form.querySelector('button').setAttribute('aria-disabled', 'true');
    return true;
  };

  form.addEventListener('submit', (event) => {
    if (!claim()) event.preventDefault();
  });

  // A page that comes back from the back/forward cache has lived on with its guard closed.
  addEventListener('pageshow', (event) => {
    if (event.persisted && sent) show('used');
  });

  // Now, not at "load": a form sent before that replaces this page in the tab's history, so Back skips it.
  // The prototype's method, because a control named "submit" would hide the form's own.
  if (recent().length + 1 >= limit) {
    show('loop');
  } else if (claim()) {
    HTMLFormElement.prototype.submit.call(form);
  }
})();

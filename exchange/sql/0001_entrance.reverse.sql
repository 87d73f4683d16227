DROP FUNCTION exchange_entrance(int, uuid, uuid, uuid);

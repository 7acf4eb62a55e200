-- The ISO 10383 market identifier code of an exchange code the platform uses; NULL for an unknown one.
-- The codes are those of registry/exchanges.py; a test compares the two.
CREATE FUNCTION instrument_registry.mic_of_exchange_v1(exchange text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE exchange
    WHEN 'ETR' THEN 'XETR'
    WHEN 'LON' THEN 'XLON'
    WHEN 'EPA' THEN 'XPAR'
    WHEN 'AMS' THEN 'XAMS'
    WHEN 'EBR' THEN 'XBRU'
    WHEN 'STO' THEN 'XSTO'
    WHEN 'HEL' THEN 'XHEL'
    WHEN 'SWX' THEN 'XSWX'
    WHEN 'BIT' THEN 'XMIL'
    WHEN 'BME' THEN 'XMAD'
    WHEN 'NYSE' THEN 'XNYS'
    WHEN 'NASDAQ' THEN 'XNAS'
    WHEN 'FRA' THEN 'XFRA'
    WHEN 'OTCMKTS' THEN 'OTCM'
    WHEN 'NSE' THEN 'XNSE'
    WHEN 'BSE' THEN 'XBOM'
END;
